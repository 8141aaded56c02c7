//! S3-compatible stores.

use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use super::ObjectsError;

/// How often a request is sent again, at most.
const RETRIES_MAX: usize = 5;
/// How long it is sent again, at most.
const RETRY_TIMEOUT: Duration = Duration::from_secs(15);
/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A prefix in a bucket. `Debug` is not derived: settings hold secrets.
#[derive(Clone, Copy)]
pub struct S3Place<'a> {
    /// The bucket's name.
    pub bucket: &'a str,
    /// What all keys begin with, without a slash at either end; may be empty.
    pub prefix: &'a str,
    /// Names of settings and their values, over those of the environment (`AWS_…`): `endpoint`, `region`, `access_key_id`,
    /// `secret_access_key`, `session_token` and so on.
    pub settings: &'a [(&'a str, &'a str)],
}

impl S3Place<'_> {
    /// How people call it.
    pub(super) fn url(&self) -> String {
        format!("s3://{}", self.bucket)
    }

    /// The client. Nothing is contacted yet.
    ///
    /// # Errors
    /// [`ObjectsError::Settings`] if a setting is not known or permitted.
    pub(super) fn client(&self) -> Result<object_store::aws::AmazonS3, ObjectsError> {
        let refused = |reason: String| ObjectsError::Settings { url: self.url(), reason };
        let options = ClientOptions::new().with_timeout(REQUEST_TIMEOUT).with_connect_timeout(CONNECT_TIMEOUT);
        let retry =
            RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT };
        let mut builder = AmazonS3Builder::from_env().with_client_options(options).with_retry(retry);
        for (name, value) in self.settings {
            let key: AmazonS3ConfigKey = name.parse().map_err(|_| {
                refused(format!("{name} is no setting of an S3 client: see the ones it knows, such as endpoint"))
            })?;
            if key == AmazonS3ConfigKey::ConditionalPut || key == AmazonS3ConfigKey::Bucket {
                return Err(refused(format!(
                    "{name} cannot be set: the url names the bucket, and puts must be conditional"
                )));
            }
            builder = builder.with_config(key, *value);
        }
        let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
        if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) {
            builder = builder.with_allow_http(true);
        }
        // Writers are fenced by this: an object that must be new is put with `If-None-Match: *`.
        let builder = builder.with_bucket_name(self.bucket).with_conditional_put(S3ConditionalPut::ETagMatch);
        // The builder's words name a setting and may repeat its value.
        builder
            .build()
            .map_err(|_| refused("its settings do not fit together: check endpoint, region and credentials".into()))
    }
}
