//! Places of stored files: a folder of this machine, or a prefix in an S3-compatible store.
//!
//! ```text
//! file:./relative/folder    file:/absolute/folder    file:///absolute/folder    s3://bucket/prefix
//! ```

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::setting::{Setting, text_serde};

/// Where checkpoints or Parquet files are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// A folder; a relative one starts at the folder that the process was started in.
    Folder(PathBuf),
    /// A prefix, perhaps empty, in a bucket; without a slash at either end.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// The part that all keys begin with.
        prefix: String,
    },
}

/// Why a text is no place; each reads on from "which …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreUrlError {
    /// Neither `file:` nor `s3://`.
    #[error("begins with neither file: nor s3://")]
    Scheme,
    /// `file:` and nothing after it.
    #[error("names no folder after file:")]
    FolderMissing,
    /// `file://host/…`: a folder of another machine.
    #[error("names another machine after file://")]
    Host,
    /// No bucket, or one that S3 would refuse.
    #[error("has no bucket name of 3 to 63 small letters, digits, dots and hyphens after s3://")]
    Bucket,
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, StoreUrlError> {
        if let Some(place) = text.strip_prefix("s3://") {
            let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
            let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.' || byte == b'-';
            if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(allowed) {
                return Err(StoreUrlError::Bucket);
            }
            return Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() });
        }
        let place = text.strip_prefix("file:").ok_or(StoreUrlError::Scheme)?;
        let folder = place.strip_prefix("//").unwrap_or(place);
        if folder.is_empty() {
            return Err(StoreUrlError::FolderMissing);
        }
        if folder.len() < place.len() && !folder.starts_with('/') {
            return Err(StoreUrlError::Host);
        }
        Ok(Self::Folder(PathBuf::from(folder)))
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(formatter, "file:{}", folder.display()),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(formatter, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(formatter, "s3://{bucket}/{prefix}"),
        }
    }
}

impl Setting for StoreUrl {
    const PERMITTED: &'static str = "a folder such as \"file:./data\" or a bucket such as \"s3://bucket/prefix\"";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: StoreUrlError| error.to_string())
    }
}

text_serde!(StoreUrl);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<&str, StoreUrlError>) {
        let url = text.parse::<StoreUrl>();
        assert_eq!(url.clone().map(|url| url.to_string()), expect.map(str::to_owned), "{text}");
        if let Ok(url) = url {
            assert_eq!(url.to_string().parse(), Ok(url), "{text} must read back");
        }
    }

    #[test]
    fn folders_and_buckets_are_told_apart() {
        check("file:./data", Ok("file:./data"));
        check("file:/var/lib", Ok("file:/var/lib"));
        check("file:///var/lib", Ok("file:/var/lib"));
        check("s3://bucket", Ok("s3://bucket"));
        check("s3://bucket/a/b/", Ok("s3://bucket/a/b"));
    }

    #[test]
    fn other_places_are_refused() {
        check("./data", Err(StoreUrlError::Scheme));
        check("s3:bucket", Err(StoreUrlError::Scheme));
        check("gs://bucket", Err(StoreUrlError::Scheme));
        check("file:", Err(StoreUrlError::FolderMissing));
        check("file://", Err(StoreUrlError::FolderMissing));
        check("file://host/share", Err(StoreUrlError::Host));
        check("s3://", Err(StoreUrlError::Bucket));
        check("s3://Bucket/a", Err(StoreUrlError::Bucket));
        check("s3://key:secret@bucket/a", Err(StoreUrlError::Bucket));
    }
}
