//! Logging in with a password: SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding.
//!
//! The server holds verifiers, in PostgreSQL's form, from which a password cannot be had. A name that does
//! not exist goes through the same steps and fails at the same one.

use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pgwire::messages::startup::Authentication;
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};

use super::report::Report;
use super::wire::{Broken, Wire};

const MECHANISM: &str = "SCRAM-SHA-256";
/// PostgreSQL's default.
const ITERATIONS: u32 = 4096;
/// More than this would let a verifier keep a client busy.
const ITERATIONS_MAX: u32 = 10_000_000;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 18;
const SALT_BYTES: usize = 16;

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Verifier {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

impl Verifier {
    /// Reads `SCRAM-SHA-256$4096:salt$stored key:server key`, as `pg_authid.rolpassword` has it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (iterations, rest) = text.strip_prefix("SCRAM-SHA-256$")?.split_once(':')?;
        let (salt, keys) = rest.split_once('$')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let iterations = iterations.parse().ok().filter(|n: &NonZeroU32| n.get() <= ITERATIONS_MAX)?;
        let key = |text: &str| STANDARD.decode(text).ok().filter(|k| k.len() == KEY_BYTES);
        let (stored_key, server_key) = (key(stored_key)?, key(server_key)?);
        Some(Self { iterations, salt: STANDARD.decode(salt).ok()?, stored_key, server_key })
    }

    /// Makes one from a password, with a new salt.
    pub(crate) fn new(password: &str) -> Option<Self> {
        Some(Self::derive(password, random::<SALT_BYTES>()?.to_vec()))
    }

    fn derive(password: &str, salt: Vec<u8>) -> Self {
        let iterations = NonZeroU32::new(ITERATIONS).expect("the default is not zero");
        let mut salted = [0; KEY_BYTES];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, password.as_bytes(), &mut salted);
        let client_key = sign(&salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, &client_key).as_ref().to_vec();
        Self { iterations, salt, stored_key, server_key: sign(&salted, b"Server Key") }
    }
}

/// Asks the client to prove that it knows the password. `None` stands for a user who does not exist.
pub(crate) async fn login(
    wire: &mut Wire,
    user: &str,
    verifier: Option<&Verifier>,
) -> Result<Result<(), Report>, Broken> {
    let refused = || Report::new("28P01", format!("password authentication failed for user \"{user}\""));
    let Some(nonce) = random::<NONCE_BYTES>() else {
        return Ok(Err(Report::new("58000", "no random numbers can be had")));
    };
    let nobody = Verifier::derive(
        "",
        digest::digest(&digest::SHA256, user.as_bytes()).as_ref()[..SALT_BYTES].to_vec(),
    );
    let exchange = Exchange { nonce: STANDARD.encode(nonce), verifier: verifier.unwrap_or(&nobody) };

    wire.put(&PgWireBackendMessage::Authentication(Authentication::SASL(vec![MECHANISM.to_owned()])));
    wire.flush().await?;
    let PgWireFrontendMessage::PasswordMessageFamily(message) = wire.receive().await? else {
        return Ok(Err(Report::new("08P01", "expected a SASL response")));
    };
    let first = match message.into_sasl_initial_response() {
        Ok(first) if first.auth_method == MECHANISM => first.data.unwrap_or_default(),
        _ => {
            return Ok(Err(Report::new("08P01", "client selected an invalid SASL authentication mechanism")));
        }
    };
    let Some(challenge) = exchange.challenge(&first) else {
        return Ok(Err(Report::new("08P01", "malformed SCRAM message")));
    };
    let data = challenge.message.clone().into_bytes().into();
    wire.put(&PgWireBackendMessage::Authentication(Authentication::SASLContinue(data)));
    wire.flush().await?;

    let PgWireFrontendMessage::PasswordMessageFamily(message) = wire.receive().await? else {
        return Ok(Err(Report::new("08P01", "expected a SASL response")));
    };
    let Ok(last) = message.into_sasl_response() else {
        return Ok(Err(Report::new("08P01", "malformed SCRAM message")));
    };
    match exchange.check(&challenge, &last.data) {
        Some(signature) if verifier.is_some() => {
            let data = format!("v={signature}").into_bytes().into();
            wire.put(&PgWireBackendMessage::Authentication(Authentication::SASLFinal(data)));
            Ok(Ok(()))
        }
        _ => Ok(Err(refused())),
    }
}

/// The pure part of a login.
struct Exchange<'a> {
    nonce: String,
    verifier: &'a Verifier,
}

struct Challenge {
    /// `n,,` or `y,,`, which the client must repeat.
    header: String,
    client_first: String,
    nonce: String,
    message: String,
}

impl Exchange<'_> {
    fn challenge(&self, first: &[u8]) -> Option<Challenge> {
        let text = std::str::from_utf8(first).ok()?;
        let header_end = text.match_indices(',').nth(1)?.0 + 1;
        let (header, bare) = text.split_at(header_end);
        // "p" would ask for channel binding, which was not offered.
        if !matches!(header.as_bytes(), [b'n' | b'y', b',', b','] | [b'n' | b'y', b',', b'a', b'=', ..]) {
            return None;
        }
        let client_nonce =
            bare.split(',').find_map(|part| part.strip_prefix("r=")).filter(|n| !n.is_empty())?;
        let nonce = format!("{client_nonce}{}", self.nonce);
        let message =
            format!("r={nonce},s={},i={}", STANDARD.encode(&self.verifier.salt), self.verifier.iterations);
        Some(Challenge { header: header.to_owned(), client_first: bare.to_owned(), nonce, message })
    }

    /// The server's signature if the client's proof is right.
    fn check(&self, challenge: &Challenge, last: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(last).ok()?;
        let (without_proof, proof) = text.rsplit_once(",p=")?;
        let mut parts = without_proof.split(',');
        let header = STANDARD.decode(parts.next()?.strip_prefix("c=")?).ok()?;
        let nonce = parts.next()?.strip_prefix("r=")?;
        if header != challenge.header.as_bytes() || nonce != challenge.nonce {
            return None;
        }
        let signed = format!("{},{},{without_proof}", challenge.client_first, challenge.message);
        let signature = sign(&self.verifier.stored_key, signed.as_bytes());
        let proof = STANDARD.decode(proof).ok().filter(|p| p.len() == KEY_BYTES)?;
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(p, s)| p ^ s).collect();
        let stored = digest::digest(&digest::SHA256, &client_key);
        // All bytes are looked at, whichever differ.
        let pairs = stored.as_ref().iter().zip(&self.verifier.stored_key);
        if pairs.fold(0, |difference, (a, b)| difference | (a ^ b)) != 0 {
            return None;
        }
        Some(STANDARD.encode(sign(&self.verifier.server_key, signed.as_bytes())))
    }
}

fn sign(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec()
}

fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange in section 3 of RFC 7677: user "user", password "pencil".
    #[test]
    fn the_example_of_the_rfc() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        let verifier = Verifier::derive("pencil", salt);
        let exchange = Exchange { nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned(), verifier: &verifier };
        let challenge = exchange.challenge(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO").expect("a challenge");
        assert_eq!(
            challenge.message,
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let signature = exchange.check(&challenge, last.as_bytes());
        assert_eq!(signature.as_deref(), Some("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        let wrong = last.replace("p=dH", "p=dI");
        assert_eq!(exchange.check(&challenge, wrong.as_bytes()), None);
    }

    #[test]
    fn verifiers_in_postgresql_form() {
        let text = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
                    WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        assert!(Verifier::parse(text) == Some(Verifier::derive("pencil", salt)));
        assert!(Verifier::parse("md5abc").is_none());
    }
}
