//! The files of `assay ek check`: the certificate, and those of the manufacturers, in any order.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, error::ErrorKind};

const CERT: &str = "cert";
const CAS: &str = "manufacturer_cas";

/// What to judge, and by what.
///
/// `--manufacturer-cas` takes as many words as follow it, and so also a certificate that stands behind them. Where no word
/// is left for the certificate, it is the last of the one option that has more than one: by its place, never by what is
/// in the files, since the certificate comes from elsewhere and could be made to look like a CA's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Files {
    /// The certificate to judge.
    pub(super) cert: PathBuf,
    /// The files of CA certificates.
    pub(super) manufacturer_cas: Vec<PathBuf>,
}

impl Args for Files {
    fn augment_args(command: Command) -> Command {
        let path = clap::value_parser!(PathBuf);
        command
            .arg(Arg::new(CERT).value_name("CERT").value_parser(path.clone()).help(
                "The certificate: DER, PEM, or the contents of its NV index as read; may also stand last",
            ))
            .arg(
                Arg::new(CAS)
                    .long("manufacturer-cas")
                    .value_name("FILE")
                    .value_parser(path)
                    .num_args(1..)
                    .action(ArgAction::Append)
                    .required(true)
                    .help(
                        "Manufacturers' CA certificates, PEM or DER: self-signed ones and tops of chains are trusted, the rest are intermediates",
                    ),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Files {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut cert = matches.get_one::<PathBuf>(CERT).cloned();
        let mut options: Vec<Vec<PathBuf>> = matches
            .get_occurrences::<PathBuf>(CAS)
            .unwrap_or_default()
            .map(|files| files.cloned().collect())
            .collect();
        if cert.is_none() {
            let mut several = options.iter_mut().filter(|files| files.len() > 1);
            if let (Some(only), None) = (several.next(), several.next()) {
                cert = only.pop();
            }
        }
        let cert = cert.ok_or_else(|| {
            Error::raw(
                ErrorKind::MissingRequiredArgument,
                "no certificate to judge: put CERT before --manufacturer-cas, or after the files and --",
            )
        })?;
        Ok(Self {
            cert,
            manufacturer_cas: options.into_iter().flatten().collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Args, Command, Files, FromArgMatches};

    fn read(line: &str) -> Result<(String, String), clap::Error> {
        let command = Files::augment_args(Command::new("check").no_binary_name(true))
            .arg(clap::Arg::new("at").long("at"));
        let matches = command.try_get_matches_from(line.split(' '))?;
        let files = Files::from_arg_matches(&matches)?;
        let names: Vec<_> = files
            .manufacturer_cas
            .iter()
            .map(|file| file.to_str().unwrap())
            .collect();
        Ok((files.cert.to_str().unwrap().to_owned(), names.join(" ")))
    }

    #[test]
    fn the_certificate_is_found_wherever_it_stands() {
        for line in [
            "cert --manufacturer-cas a b",
            "--manufacturer-cas a b cert",
            "--manufacturer-cas a b -- cert",
            "--manufacturer-cas a b cert --at now",
            "--manufacturer-cas a b --at now cert",
            "--manufacturer-cas a cert --manufacturer-cas b",
            "--manufacturer-cas a --manufacturer-cas b cert",
            "--manufacturer-cas a --at now cert --manufacturer-cas b",
            "--manufacturer-cas=a cert --manufacturer-cas b",
        ] {
            let (cert, cas) = read(line).unwrap_or_else(|error| unreachable!("{line}: {error}"));
            assert_eq!((cert.as_str(), cas.as_str()), ("cert", "a b"), "{line}");
        }
    }

    #[test]
    fn a_line_that_leaves_it_open_is_not_guessed_at() {
        for line in [
            "--manufacturer-cas a",
            "--manufacturer-cas a --manufacturer-cas b",
            "--manufacturer-cas a b --manufacturer-cas c cert",
        ] {
            let error = read(line).unwrap_err().to_string();
            assert!(error.contains("put CERT before"), "{line}: {error}");
        }
        assert!(read("cert").is_err(), "no manufacturer");
    }
}
