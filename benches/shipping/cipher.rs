//! What a TLS cipher costs by itself: the records of as many bytes, encrypted by the code that the
//! agent uses. Never opens a connection.

use std::hint::black_box;

use tokio_rustls::rustls::crypto::cipher::{AeadKey, Iv, OutboundChunks, OutboundPlainMessage};
use tokio_rustls::rustls::{ContentType, ProtocolVersion, SupportedCipherSuite};

use super::process::own_thread_seconds;

/// The longest content of a TLS record, RFC 8446 section 5.1.
const RECORD_BYTES: u64 = 16 * 1024;
/// Of a 256-bit key.
const KEY_BYTES: usize = 32;

/// CPU seconds that rustls takes to encrypt so many bytes in full records, without buffers between
/// and without sockets; `None` for a suite of TLS 1.2 or with a shorter key.
pub(crate) fn seconds(suite: SupportedCipherSuite, bytes: u64) -> Option<f64> {
    let cipher = suite.tls13()?.aead_alg;
    if cipher.key_len() != KEY_BYTES {
        return None;
    }
    let mut encrypter = cipher.encrypter(AeadKey::from([7; KEY_BYTES]), Iv::from([7; 12]));
    let content = vec![b'x'; usize::try_from(RECORD_BYTES).unwrap()];
    let before = own_thread_seconds()?;
    for number in 0..bytes.div_ceil(RECORD_BYTES) {
        let message = OutboundPlainMessage {
            typ: ContentType::ApplicationData,
            version: ProtocolVersion::TLSv1_3,
            payload: OutboundChunks::Single(&content),
        };
        black_box(encrypter.encrypt(black_box(message), number).unwrap());
    }
    Some(own_thread_seconds()? - before)
}
