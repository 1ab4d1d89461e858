//! A signer of its own, written from AWS's description and sharing nothing with the verifier. botocore is the second opinion, in the
//! tests of the whole server.

use ring::{digest, hmac};

/// A client's credentials, and what a test wants to be wrong.
#[derive(Clone, Debug)]
pub struct Signer {
    pub id: String,
    pub secret: String,
    pub region: String,
    pub service: String,
    pub host: String,
    /// `YYYYMMDDTHHMMSSZ`.
    pub time: String,
    /// More headers, in lower case, signed.
    pub more: Vec<(String, String)>,
}

impl Signer {
    pub fn new(id: &str, secret: &str) -> Self {
        Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
            region: "eu-west-1".to_owned(),
            service: "events".to_owned(),
            host: "localhost".to_owned(),
            time: time(0),
            more: Vec::new(),
        }
    }

    /// The lines of a request's head, but for its host, which the harness writes.
    pub fn headers(&self, operation: &str, body: impl AsRef<[u8]>) -> Vec<String> {
        let mut signed = vec![
            ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned()),
            ("host".to_owned(), self.host.clone()),
            ("x-amz-date".to_owned(), self.time.clone()),
            ("x-amz-target".to_owned(), format!("AWSEvents.{operation}")),
        ];
        signed.extend(self.more.iter().cloned());
        signed.sort();
        let names: Vec<&str> = signed.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("POST\n/\n\n{lines}\n{names}\n{}", hex(sha256(body.as_ref()).as_ref()));
        let date = &self.time[..8];
        let scope = format!("{date}/{}/{}/aws4_request", self.region, self.service);
        let text = format!(
            "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
            self.time,
            hex(sha256(canonical.as_bytes()).as_ref())
        );
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in [date, &self.region, &self.service, "aws4_request"] {
            key = mac(&key, part.as_bytes());
        }
        let signature = hex(&mac(&key, text.as_bytes()));
        let authorization = format!(
            "authorization: AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.id
        );
        let others = signed.iter().filter(|(name, _)| name != "host");
        others
            .map(|(name, value)| format!("{name}: {value}"))
            .chain([authorization])
            .collect()
    }
}

/// So many seconds from now.
pub fn time(seconds: i64) -> String {
    let at = jiff::Timestamp::now().as_second() + seconds;
    jiff::Timestamp::from_second(at)
        .expect("a time")
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string()
}

fn sha256(bytes: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, bytes)
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
        .as_ref()
        .to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
