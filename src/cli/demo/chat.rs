//! The chat endpoints: an answer in one piece, or token by token as server-sent events.

use super::data::WORDS;
use super::reply::{ReplyBody, events, json, problem};
use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

/// The answer to a completion request: whole, or a stream if it says `"stream": true`.
pub(super) fn completion(body: &[u8]) -> Response<ReplyBody> {
    let Ok(request @ Value::Object(_)) = serde_json::from_slice::<Value>(body) else {
        return problem(StatusCode::BAD_REQUEST, "the body is a JSON object, as {\"messages\":[]}");
    };
    if request["stream"] == true {
        return events(tokens());
    }
    let message = json!({ "role": "assistant", "content": WORDS.concat() });
    let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
    json(StatusCode::OK, &json!({ "object": "chat.completion", "model": "sample", "choices": [choice] }))
}

/// The same answer as events.
pub(super) fn tokens() -> Vec<Bytes> {
    let event = |word: &str| json!({ "object": "chat.completion.chunk", "choices": [{ "index": 0, "delta": { "content": word } }] });
    let words = WORDS.iter().map(|word| Bytes::from(format!("data: {}\n\n", event(word))));
    words.chain([Bytes::from_static(b"data: [DONE]\n\n")]).collect()
}
