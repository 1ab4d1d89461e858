//! The one way out: every outbound connection of Trunkline (webhook, token, handshake, key set) is resolved, checked,
//! connected and encrypted here. It decides where a request may go, and how long it may take; it knows no event, retries
//! nothing, follows no redirect, and reads no proxy from the environment.
//!
//! **Invariant:** a connection is made only to an address that [`Guard::permits`], after resolution, every time.
//!
//! ```no_run
//! use connector::{Client, Settings, Timeouts};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(Settings::default())?;
//! let target = client.guard().check_url("https://example.com/hook")?;
//! let request = http::Request::post(target.uri().clone()).body(bytes::Bytes::from("hello").into())?;
//! let answer = client.send(request, Timeouts::default(), 4096).await?;
//! assert!(answer.status.is_success());
//! # Ok(())
//! # }
//! ```

mod address;
mod client;
mod dial;
mod error;
mod guard;
mod identity;
mod resolver;
mod stream;
mod tls;
mod tls_failure;

pub use client::{Answer, BodyEnd, Client, Head, Settings, SettingsError, Timeouts};
pub use error::{Phase, SendError};
pub use guard::{Guard, NetworkError, Networks, Refused, Target};
pub use http_body_util::Full;
pub use identity::{ClientTls, certificate_ends};
pub use resolver::Resolver;
pub use tls::Roots;
