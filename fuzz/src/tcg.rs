//! What a controller answers to Security Receive, of any length: its security protocols, level 0 discovery, and a ComPacket with the
//! message of a TPer; also the tokens of a message by themselves.
//!
//! What must hold beside: nothing that is read is longer than where it was read from, no list is deeper than the decoder allows, and what
//! can be written again is read as the same.

use spec::{
    security,
    tcg::{ComPacket, DEPTH, Message, Value, Values, discovery::Discovery},
};

/// Reads the bytes as each of them.
pub fn run(input: &[u8]) {
    let named = security::protocols(input);
    assert!(named.len() <= input.len());
    assert_eq!(security::protocols(&security::encode_protocols(named)), named);
    let described: usize = Discovery::new(input).map(|feature| feature.descriptor.len()).sum();
    assert!(described <= input.len());
    if let Ok(com_packet) = ComPacket::read(input)
        && let Ok(Some(packet)) = com_packet.packet()
    {
        assert!(packet.tokens.len() < input.len());
        message(packet.tokens);
    }
    message(input);
}

fn message(tokens: &[u8]) {
    match Message::read(tokens) {
        Ok(Message::Call { parameters: values, .. } | Message::Answer { results: values, .. }) => {
            walk(values, 0, tokens.len());
        }
        Ok(Message::EndOfSession) | Err(_) => {}
    }
}

/// All values, of which each has a token of its own at least.
fn walk(values: Values<'_>, depth: usize, length: usize) {
    assert!(depth <= DEPTH + 1);
    let _ = values.named(3);
    let mut count = 0;
    for value in values {
        count += 1;
        assert!(count <= length + 1, "values without end");
        match value {
            Ok(Value::List(inner) | Value::Named(inner)) => walk(inner, depth + 1, length),
            Ok(value) => {
                let bytes = value.bytes().map_or(0, <[u8]>::len);
                assert!(bytes <= length, "{bytes} bytes of {length}");
            }
            Err(_) => {}
        }
    }
}
