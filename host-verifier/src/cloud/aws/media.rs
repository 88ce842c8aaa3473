//! Volumes and images: what a policy may ask for besides, with permissions of their own.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::answers::{ImageAnswer, Volumes};
use super::call::Call;
use super::identity::key;
use super::instances::{ec2_lane, is_missing, time};
use super::place::{Place, PlaceError, is_id};
use super::settings::Service;
use super::xml::{self, Wrong};
use super::{Aws, kept, misnamed};
use crate::cloud::{Asking, CallError, Key, Question};
use crate::outside::Outside;

/// Most volumes of one question. The largest instances have room for 128 attachments, interfaces counted.
const MAX_VOLUMES: usize = 128;

/// `ec2:DescribeVolumes`.
#[derive(Debug)]
pub(super) struct OfVolumes {
    aws: Aws,
    place: Place,
    /// Sorted, each once.
    ids: Vec<String>,
}

impl OfVolumes {
    pub(super) fn new(aws: &Aws, place: &Place, ids: &[String]) -> Result<Self, CallError> {
        let known = ids.iter().all(|id| is_id(id, "vol"));
        if !known || !(1..=MAX_VOLUMES).contains(&ids.len()) {
            return Err(misnamed("DescribeVolumes", PlaceError::Id));
        }
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        Ok(Self {
            aws: aws.clone(),
            place: place.clone(),
            ids,
        })
    }
}

impl Question for OfVolumes {
    fn key(&self) -> Key {
        let what = format!("DescribeVolumes {}", self.ids.join(" "));
        key(ec2_lane(&self.place), what)
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            let (aws, region) = (&self.aws, self.place.region());
            let account = self.place.account();
            let keys = aws.keys_in(outside, region.partition(), account).await?;
            let numbered = self.ids.iter().enumerate();
            let parameters = numbered.map(|(n, id)| (format!("VolumeId.{}", n + 1), id.clone()));
            let parameters = parameters.collect();
            let call = Call::query(Service::Ec2, "DescribeVolumes", region, parameters);
            let answer = call
                .send(outside, aws.settings(), Some(&keys), aws.now())
                .await;
            match answer {
                // One of them is gone, and the answer does not say which.
                Err(error) if is_missing(&error, "InvalidVolume.NotFound") => {
                    let encrypted = BTreeMap::new();
                    kept(&Volumes { encrypted }, aws.moment())
                }
                answer => {
                    let encrypted = answer?.read(|body| volumes(body, &self.ids))?;
                    kept(&Volumes { encrypted }, aws.ttl())
                }
            }
        })
    }
}

fn volumes(body: &[u8], asked: &[String]) -> Result<BTreeMap<String, bool>, Wrong> {
    let root = xml::parse(body)?;
    let root = root.named("DescribeVolumesResponse")?;
    let mut encrypted = BTreeMap::new();
    for volume in root.list("volumeSet")? {
        let id = volume.need_text("volumeId")?;
        let is_encrypted = match volume.need_text("encrypted")? {
            "true" => true,
            "false" => false,
            _ => return Err("it is neither true nor false"),
        };
        let is_asked = asked.iter().any(|one| one == id);
        if !is_asked || encrypted.insert(id.to_owned(), is_encrypted).is_some() {
            return Err("it is another volume");
        }
    }
    Ok(encrypted)
}

/// `ec2:DescribeImages` for one id.
#[derive(Debug)]
pub(super) struct OfImage {
    aws: Aws,
    place: Place,
    id: String,
}

impl OfImage {
    pub(super) fn new(aws: &Aws, place: &Place, id: &str) -> Result<Self, CallError> {
        match is_id(id, "ami") {
            true => Ok(Self {
                aws: aws.clone(),
                place: place.clone(),
                id: id.to_owned(),
            }),
            false => Err(misnamed("DescribeImages", PlaceError::Id)),
        }
    }
}

impl Question for OfImage {
    fn key(&self) -> Key {
        key(ec2_lane(&self.place), format!("DescribeImages {}", self.id))
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            let (aws, region) = (&self.aws, self.place.region());
            let account = self.place.account();
            let keys = aws.keys_in(outside, region.partition(), account).await?;
            // An image goes on being run from when it is not offered any more.
            let parameters = vec![
                ("ImageId.1".to_owned(), self.id.clone()),
                ("IncludeDeprecated".to_owned(), "true".to_owned()),
            ];
            let call = Call::query(Service::Ec2, "DescribeImages", region, parameters);
            let answer = call
                .send(outside, aws.settings(), Some(&keys), aws.now())
                .await;
            let created = match answer {
                Err(error) if is_missing(&error, "InvalidAMIID.NotFound") => None,
                Err(error) if is_missing(&error, "InvalidAMIID.Unavailable") => None,
                answer => answer?.read(|body| image(body, &self.id))?,
            };
            let ttl = match created {
                Some(_) => aws.ttl(),
                None => aws.moment(),
            };
            kept(&ImageAnswer { created }, ttl)
        })
    }
}

fn image(body: &[u8], id: &str) -> Result<Option<Timestamp>, Wrong> {
    let root = xml::parse(body)?;
    let images = root.named("DescribeImagesResponse")?.list("imagesSet")?;
    match images {
        [] => Ok(None),
        [one] if one.need_text("imageId")? == id => time(one.text("creationDate")?),
        _ => Err("it is another image"),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{image, volumes};

    #[test]
    fn a_volume_that_was_not_asked_for_is_no_answer() {
        let text = |id: &str, encrypted: &str| {
            format!(
                "<DescribeVolumesResponse><volumeSet><item><volumeId>{id}</volumeId><encrypted>{encrypted}</encrypted></item></volumeSet></DescribeVolumesResponse>"
            )
        };
        let asked = ["vol-01234567".to_owned()];
        let read = |id, encrypted| volumes(text(id, encrypted).as_bytes(), &asked);
        assert_eq!(
            read("vol-01234567", "true").unwrap().get(&asked[0]),
            Some(&true)
        );
        assert_eq!(
            read("vol-01234567", "false").unwrap().get(&asked[0]),
            Some(&false)
        );
        assert!(read("vol-01234567", "yes").is_err());
        assert!(read("vol-89abcdef", "true").is_err());
        let none = b"<DescribeVolumesResponse><volumeSet/></DescribeVolumesResponse>";
        assert!(volumes(none, &asked).unwrap().is_empty());
    }

    #[test]
    fn an_images_time_is_its_own() {
        let text = |id: &str| {
            format!(
                "<DescribeImagesResponse><imagesSet><item><imageId>{id}</imageId><creationDate>2026-11-01T10:00:00.000Z</creationDate></item></imagesSet></DescribeImagesResponse>"
            )
        };
        let read = |id| image(text(id).as_bytes(), "ami-01234567");
        assert_eq!(
            read("ami-01234567").unwrap(),
            Some("2026-11-01T10:00:00Z".parse().unwrap())
        );
        assert!(read("ami-89abcdef").is_err());
    }
}
