//! Nobody can use us to make more of what he sends: who writes the address of a victim upon a question has less sent
//! there than it took.

use tokio::net::UdpSocket;

use super::*;
use crate::ice::roles::role_attribute;
use crate::ice::stun::{PRIORITY, StunBuilder, USE_CANDIDATE};
use crate::udp::{BINDING, FINGERPRINT, HEADER, StunClass, StunMessage, TransactionId, USERNAME};

/// A request under construction.
struct Question {
    name: String,
    builder: StunBuilder,
}

impl Question {
    fn new(name: &str, user: Option<&str>) -> Self {
        Self::of(BINDING, name, user)
    }

    fn of(method: u16, name: &str, user: Option<&str>) -> Self {
        let transaction = TransactionId(rand::random());
        let builder = StunBuilder::of(method, StunClass::Request, transaction);
        Self {
            name: name.to_owned(),
            builder: match user {
                Some(user) => builder.attribute(USERNAME, user.as_bytes()),
                None => builder,
            },
        }
    }

    fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.builder = self.builder.attribute(kind, value);
        self
    }

    /// As it is, and without the FINGERPRINT that makes it longer.
    fn finish(self, password: Option<&str>) -> [(String, Vec<u8>); 2] {
        let whole = self.builder.finish(password);
        let mut bare = whole[..whole.len() - 8].to_vec();
        let length = u16::try_from(bare.len() - HEADER).unwrap();
        bare[2..4].copy_from_slice(&length.to_be_bytes());
        assert!(StunMessage::parse(&whole).is_none_or(|it| it.attribute(FINGERPRINT).is_some()));
        let name = self.name;
        [
            (format!("{name}, without fingerprint"), bare),
            (name, whole),
        ]
    }
}

/// Every shape of a request that is answered somewhere: by success, or by 400, 401, 420 or 487.
fn questions(side: &Side, theirs: &IceParameters) -> Vec<(String, Vec<u8>)> {
    let IceParameters {
        username_fragment: ours,
        password,
    } = &side.parameters;
    let user = format!("{ours}:{}", theirs.username_fragment);
    let tie_breaker = |number: u64| number.to_be_bytes();
    let roles = [IceRole::Controlling, IceRole::Controlled].map(role_attribute);
    let mut all = Vec::new();
    all.extend(Question::new("empty", None).finish(None));
    all.extend(Question::new("no integrity", Some(&user)).finish(None));
    all.extend(Question::new("no user", None).finish(Some(password)));
    all.extend(Question::new("wrong password", Some(&user)).finish(Some("wrong")));
    all.extend(Question::new("stranger", Some("a:b")).finish(Some(password)));
    let foreign = format!("{ours}:else");
    all.extend(Question::new("other remote", Some(&foreign)).finish(Some(password)));
    all.extend(Question::new("short", Some(&user)).finish(Some(password)));
    for unknown in [0x0002, 0x0026, 0x7fff] {
        let question = Question::new("unknown attribute", Some(&user)).with(unknown, &[]);
        all.extend(question.finish(Some(password)));
    }
    for number in [0, u64::MAX] {
        for role in roles {
            let question = Question::new("role", Some(&user)).with(role, &tie_breaker(number));
            all.extend(question.finish(Some(password)));
            let whole = Question::new("whole", Some(&user))
                .with(role, &tie_breaker(number))
                .with(PRIORITY, &[1; 4])
                .with(USE_CANDIDATE, &[]);
            all.extend(whole.finish(Some(password)));
        }
    }
    for method in [2, 3, 4, 8, 9] {
        all.extend(Question::of(method, "method", Some(&user)).finish(Some(password)));
    }
    let whole = all.last().unwrap().1.clone();
    all.extend(
        (1..whole.len())
            .step_by(7)
            .map(|length| (format!("cut to {length}"), whole[..length].to_vec())),
    );
    all
}

/// The answers to what a question asked, which is more than it was: our own checks ask too.
async fn answers(socket: &UdpSocket, transaction: &[u8]) -> Vec<Vec<u8>> {
    let mut answers = Vec::new();
    let mut buffer = [0; 2048];
    while let Ok(read) = timeout(SILENCE, socket.recv(&mut buffer)).await {
        let bytes = &buffer[..read.unwrap()];
        // Bit 8: an answer of some kind (RFC 8489 §5).
        if bytes[0] & 1 == 1 && bytes.get(8..20) == Some(transaction) {
            answers.push(bytes.to_vec());
        }
    }
    answers
}

#[tokio::test]
async fn no_stun_answer_is_larger_than_its_question() {
    for ip in ["127.0.0.1", "[::1]"] {
        for role in [IceRole::Controlling, IceRole::Controlled] {
            let endpoint = endpoint(&format!("{ip}:0")).await;
            let to = endpoint.local_addr();
            let side = Side::new(vec![endpoint], IceConfiguration::default()).await;
            let theirs = IceParameters::generate();
            side.transport.start(role, theirs.clone(), false);
            let mut answered = 0;
            for (name, question) in questions(&side, &theirs) {
                let socket = UdpSocket::bind(format!("{ip}:0")).await.unwrap();
                socket.send_to(&question, to).await.unwrap();
                let transaction = question.get(8..20).unwrap_or_default();
                let answers = answers(&socket, transaction).await;
                let bytes: usize = answers.iter().map(Vec::len).sum();
                assert!(
                    bytes <= question.len(),
                    "{name}: {} for {}",
                    bytes,
                    question.len()
                );
                answered += answers.len();
            }
            // The whole ones at least; or nothing has been tried.
            assert!(answered >= 2, "{ip} {role:?}: {answered}");
        }
    }
}

/// Answers on loopback take less than a millisecond.
const SILENCE: Duration = Duration::from_millis(5);
