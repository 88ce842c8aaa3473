//! Where something lies in AWS: partition, account, region; and the names that are made of them.
//!
//! A region and an account come from a document that a node sent. What a host name, a URL or an ARN is made of is of one
//! narrow form, so that nothing but AWS's own names can come of it.

/// A part of AWS with accounts, names and trust of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Partition {
    /// `aws`: the regions of everybody.
    #[default]
    Standard,
    /// `aws-cn`: China.
    China,
    /// `aws-us-gov`: the government of the United States.
    Government,
    /// `aws-eusc`: the European Sovereign Cloud.
    Sovereign,
}

impl Partition {
    /// All of them. The isolated partitions (`aws-iso*`) cannot be reached from where others are.
    pub const ALL: [Self; 4] = [
        Self::Standard,
        Self::China,
        Self::Government,
        Self::Sovereign,
    ];

    /// As ARNs have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "aws",
            Self::China => "aws-cn",
            Self::Government => "aws-us-gov",
            Self::Sovereign => "aws-eusc",
        }
    }

    /// By its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// What the names of its endpoints end in.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Standard | Self::Government => "amazonaws.com",
            Self::China => "amazonaws.com.cn",
            Self::Sovereign => "amazonaws.eu",
        }
    }

    /// The host of IAM, which has one per partition, and the region that its requests are signed for.
    pub(super) const fn iam(self) -> (&'static str, &'static str) {
        match self {
            Self::Standard => ("iam.amazonaws.com", "us-east-1"),
            Self::China => ("iam.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            Self::Government => ("iam.us-gov.amazonaws.com", "us-gov-west-1"),
            Self::Sovereign => ("iam.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
        }
    }

    /// The one region in which Organizations is.
    pub(super) const fn organizations(self) -> &'static str {
        match self {
            Self::Standard => "us-east-1",
            Self::China => "cn-northwest-1",
            Self::Government => "us-gov-west-1",
            Self::Sovereign => "eusc-de-east-1",
        }
    }
}

/// An account and a region, read from text that nobody vouches for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    account: String,
    region: Region,
}

/// A region of a known partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Region {
    name: String,
    partition: Partition,
}

/// What is no name of AWS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// Of an account.
    #[error("an account is twelve digits")]
    Account,
    /// Of a region.
    #[error("no region of AWS, e.g. eu-west-1")]
    Region,
    /// Of an instance, an image or a volume.
    #[error("no id of EC2's, e.g. i-0123456789abcdef0")]
    Id,
    /// Of a role.
    #[error("no role's ARN, e.g. arn:aws:iam::111122223333:role/DefaktoServerOrgAccountsList")]
    Role,
    /// Of an instance profile.
    #[error("no instance profile's ARN")]
    Profile,
    /// Of an EKS cluster.
    #[error("no name of an EKS cluster")]
    Cluster,
}

impl Partition {
    /// Which one a region is of. It follows from the region's name, as in the SDKs.
    ///
    /// # Errors
    ///
    /// [`PlaceError::Region`]: it is no region's name.
    pub fn of_region(name: &str) -> Result<Self, PlaceError> {
        let mut parts = name.split('-');
        let (area, mut next) = (parts.next().unwrap_or(""), parts.next());
        let partition = match (area, next) {
            ("us", Some("gov")) => {
                next = parts.next();
                Self::Government
            }
            ("cn", _) => Self::China,
            ("eusc", Some("de")) => {
                next = parts.next();
                Self::Sovereign
            }
            ("us" | "eu" | "ap" | "sa" | "ca" | "me" | "af" | "il" | "mx", _) => Self::Standard,
            _ => return Err(PlaceError::Region),
        };
        // The isolated partitions have a second part of their own.
        let direction = next.filter(|part| {
            (4..=16).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_lowercase())
        });
        let isolated = direction.is_some_and(|part| part.starts_with("iso"));
        let number = parts.next().filter(|part| {
            (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
        });
        let whole = direction.is_some() && number.is_some() && parts.next().is_none();
        if !whole || isolated {
            return Err(PlaceError::Region);
        }
        Ok(partition)
    }
}

impl Region {
    /// Reads the name of a region.
    ///
    /// # Errors
    ///
    /// [`PlaceError::Region`].
    pub fn parse(name: &str) -> Result<Self, PlaceError> {
        Ok(Self {
            partition: Partition::of_region(name)?,
            name: name.to_owned(),
        })
    }

    /// The one that is meant when none is named, as in the SDKs of old.
    pub(super) fn first() -> Self {
        Self {
            name: "us-east-1".to_owned(),
            partition: Partition::Standard,
        }
    }

    /// E.g. `eu-west-1`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    #[must_use]
    pub const fn partition(&self) -> Partition {
        self.partition
    }
}

impl Place {
    /// Reads an account and a region.
    ///
    /// # Errors
    ///
    /// [`PlaceError`].
    pub fn new(account: &str, region: &str) -> Result<Self, PlaceError> {
        if !is_account(account) {
            return Err(PlaceError::Account);
        }
        Ok(Self {
            account: account.to_owned(),
            region: Region::parse(region)?,
        })
    }

    /// Twelve digits.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The region.
    #[must_use]
    pub const fn region(&self) -> &Region {
        &self.region
    }
}

/// A role by its ARN: `arn:PARTITION:iam::ACCOUNT:role/[PATH/]NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoleArn {
    arn: String,
    partition: Partition,
    account: String,
}

impl RoleArn {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// [`PlaceError::Role`].
    pub fn parse(arn: &str) -> Result<Self, PlaceError> {
        let (partition, account, name) = iam_arn(arn, "role").ok_or(PlaceError::Role)?;
        if !is_role_name(name) {
            return Err(PlaceError::Role);
        }
        Ok(Self {
            arn: arn.to_owned(),
            partition,
            account: account.to_owned(),
        })
    }

    /// The role of this name in an account.
    #[must_use]
    pub(super) fn in_account(partition: Partition, account: &str, name: &str) -> Self {
        Self {
            arn: format!("arn:{}:iam::{account}:role/{name}", partition.name()),
            partition,
            account: account.to_owned(),
        }
    }

    /// The whole ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.arn
    }

    /// Where it is.
    #[must_use]
    pub const fn partition(&self) -> Partition {
        self.partition
    }

    /// Whose it is.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The name without its path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or("")
    }
}

/// The account and the name of an instance profile: `arn:PARTITION:iam::ACCOUNT:instance-profile/[PATH/]NAME`.
pub(super) fn profile(arn: &str) -> Result<(Partition, &str, &str), PlaceError> {
    let (partition, account, name) = iam_arn(arn, "instance-profile").ok_or(PlaceError::Profile)?;
    match is_iam_name(name, 128) {
        true => Ok((partition, account, name)),
        false => Err(PlaceError::Profile),
    }
}

/// Partition, account, and what stands behind the last slash.
fn iam_arn<'a>(arn: &'a str, kind: &str) -> Option<(Partition, &'a str, &'a str)> {
    let (partition, rest) = arn.strip_prefix("arn:")?.split_once(":iam::")?;
    let (account, resource) = rest.split_once(':')?;
    let path = resource.strip_prefix(kind)?.strip_prefix('/')?;
    let plain = |b: u8| (0x21..=0x7e).contains(&b) && !matches!(b, b':' | b'*' | b'?');
    let known = is_account(account) && path.len() <= 512 + 128 && path.bytes().all(plain);
    let name = path.rsplit('/').next()?;
    Partition::named(partition)
        .filter(|_| known)
        .map(|partition| (partition, account, name))
}

/// Whether this is a role's name (IAM: up to 64 letters, digits and `+=,.@_-`).
#[must_use]
pub fn is_role_name(name: &str) -> bool {
    is_iam_name(name, 64)
}

fn is_iam_name(name: &str, most: usize) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b);
    (1..=most).contains(&name.len()) && name.bytes().all(plain)
}

/// Whether this is an account's id.
#[must_use]
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether this is an id of EC2's: the prefix, and eight or seventeen hexadecimal digits.
#[must_use]
pub fn is_id(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix).and_then(|t| t.strip_prefix('-'));
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    digits.is_some_and(|t| matches!(t.len(), 8 | 17) && t.bytes().all(hex))
}

/// Whether this is the name of an EKS cluster, or of a node group: it becomes a part of a path.
#[must_use]
pub fn is_cluster_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    (1..=100).contains(&name.len())
        && name.bytes().all(plain)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Partition, Place, PlaceError, Region, RoleArn, is_cluster_name, is_id, profile};

    #[test]
    fn a_region_says_its_partition_and_nothing_else_is_one() {
        for (name, partition) in [
            ("us-east-1", Partition::Standard),
            ("ap-southeast-5", Partition::Standard),
            ("mx-central-1", Partition::Standard),
            ("il-central-1", Partition::Standard),
            ("cn-northwest-1", Partition::China),
            ("us-gov-west-1", Partition::Government),
            ("eusc-de-east-1", Partition::Sovereign),
        ] {
            assert_eq!(Region::parse(name).unwrap().partition(), partition);
        }
        for wrong in [
            "",
            "us",
            "us-east",
            "us-east-",
            "us-east-1a",
            "us-east-1-2",
            "US-EAST-1",
            "us-iso-east-1",
            "us-isob-east-1",
            "eu-isoe-west-1",
            "xx-east-1",
            "us-east-1.evil.example/",
            "us-east-1 ",
            "us-gov-1",
            "eusc-fr-west-1",
            "eu-west-123",
            "ap-l\u{e4}nder-1",
        ] {
            assert_eq!(Region::parse(wrong), Err(PlaceError::Region), "{wrong}");
        }
    }

    #[test]
    fn accounts_ids_and_names_are_of_one_form() {
        assert!(Place::new("012345678901", "eu-west-1").is_ok());
        for wrong in [
            "12345678901",
            "1234567890123",
            "12345678901a",
            "１23456789012",
        ] {
            assert_eq!(Place::new(wrong, "eu-west-1"), Err(PlaceError::Account));
        }
        assert!(is_id("i-0123456789abcdef0", "i") && is_id("ami-01234567", "ami"));
        for wrong in [
            "i-",
            "i-0123456789abcdef",
            "i-0123456789ABCDEF0",
            "ami-01234567",
            "i01234567",
        ] {
            assert!(!is_id(wrong, "i"), "{wrong}");
        }
        assert!(is_cluster_name("prod_1-a"));
        for wrong in ["", "-a", "a/b", "a b", "a%2f", &"a".repeat(101)] {
            assert!(!is_cluster_name(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_role_and_a_profile_are_read_with_their_paths() {
        let role = RoleArn::parse("arn:aws-cn:iam::111122223333:role/a/b/Reader").unwrap();
        assert_eq!(
            (role.partition(), role.account(), role.name()),
            (Partition::China, "111122223333", "Reader")
        );
        let arn = "arn:aws:iam::111122223333:instance-profile/web/Front";
        let (_, account, name) = profile(arn).unwrap();
        assert_eq!((account, name), ("111122223333", "Front"));
        for wrong in [
            "arn:aws:iam::111122223333:role/",
            "arn:aws:iam::111122223333:user/x",
            "arn:aws:iam::11112222333:role/x",
            "arn:aws-iso:iam::111122223333:role/x",
            "arn:aws:iam:eu-west-1:111122223333:role/x",
            "arn:aws:iam::111122223333:role/x*",
            "arn:aws:iam::111122223333:role/a b",
            "arn:aws:sts::111122223333:role/x",
            "DefaktoServer",
        ] {
            assert_eq!(RoleArn::parse(wrong), Err(PlaceError::Role), "{wrong}");
        }
        assert_eq!(profile(role.as_str()), Err(PlaceError::Profile));
    }
}
