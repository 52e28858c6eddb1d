//! What the demo prints: where everything is, and curl lines with what to look for.

use std::net::SocketAddr;

/// Where everything is.
pub(super) fn heading(front: &str, admin: SocketAddr, upstream: SocketAddr, config: &str) -> String {
    format!(
        "warmfront {} demo\n  warmfront   {front}\n  admin API   {admin}\n  sample API  {upstream}, slow on purpose: 300 to 1200 ms an answer\n  config      {config}",
        env!("CARGO_PKG_VERSION")
    )
}

/// What a line shows, and the line; `{}` is where warmfront is, `{admin}` its admin API.
const LINES: &[(&str, &[(&str, &str)])] = &[
    (
        "The first answer is slow, the second comes from memory: look at Age and Cache-Status",
        &[
            (
                "curl -si '{}/api/schools/primary?page=1&pageSize=20&district=sha-tin' | head -12",
                "rule `schools` gives 5 min: the API says nothing",
            ),
            ("curl -si {}/api/reports/3 | head -12", "the API's own max-age=300"),
            ("curl -si '{}/api/brands/top?limit=5' | head -12", "`override`: 1 min instead of the API's 5 s"),
            ("curl -si {}/api/schools/17 | head -12", "350 ms, once"),
        ],
    ),
    (
        "Warm before anybody asks: the start-up run has fetched these",
        &[
            ("curl -si '{}/api/schools/primary?page=1&pageSize=20&district=central' | head -12", "a hit, the first time you ask"),
            ("curl -si {}/api/brands/quartz/stats | head -12", "one of the top 20 that the API named"),
            ("curl -si -X POST {}/api/user/warmup -H 'Authorization: Bearer carol'", "202: carol's profile and usage are fetched for her"),
            ("curl -si {}/api/user/warmup -H 'Authorization: Bearer carol'", "how that is going"),
            ("curl -si {}/api/me/usage -H 'Authorization: Bearer carol'", "a hit; bob's would be a miss"),
        ],
    ),
    (
        "The same answer under other spellings: one stored copy",
        &[(
            "curl -si '{}/api/schools/primary?pageSize=20&utm_source=x&page=1&district=wan-chai' | head -12",
            "a hit at once: sorted, utm_* dropped",
        )],
    ),
    (
        "Not changed, and a part of it",
        &[
            ("curl -si {}/api/channels/2 -H 'If-None-Match: \"channels-2-v1\"'", "304 and no body"),
            ("curl -s {}/api/reports/7 -o /dev/null -w '%{size_download} bytes, %{time_total} s\\n'", "over 100 KiB; twice"),
            ("curl -si {}/api/reports/7 -H 'Range: bytes=0-99'", "206 with 100 bytes, from the stored copy"),
        ],
    ),
    (
        "A change drops what it has changed, and has it warmed again",
        &[
            ("curl -si {}/api/channels/2", "twice: stored"),
            ("curl -si -X PUT {}/api/channels/2 -d '{\"name\":\"renamed\",\"enabled\":true}'", "the change goes through"),
            ("curl -si {}/api/channels/2", "the new name at once"),
            ("curl -si {}/api/channels | head -12", "and the list, warmed again: a hit soon after the change"),
        ],
    ),
    (
        "A partition per user, unreachable from any other",
        &[
            ("curl -si {}/api/me/profile -H 'Authorization: Bearer alice'", "twice: stored for alice"),
            ("curl -si {}/api/me/profile -H 'Authorization: Bearer bob'", "a miss: bob does not see alice's"),
            ("curl -si {}/api/me/profile", "401"),
        ],
    ),
    (
        "Tokens as they are made: never buffered, never stored",
        &[
            ("curl -N {}/v1/chat/stream", "one token after the other"),
            ("curl -N {}/v1/chat/completions -d '{\"stream\":true,\"messages\":[]}'", "the same for a POST"),
        ],
    ),
    (
        "Inside: what it has done, and who may change what",
        &[
            ("curl -s {admin}/api/cache/stats", "hits, live copies per warm group, last warm run"),
            ("curl -s {admin}/api/cache/warmup/status", "what is warmed, and when next"),
            ("curl -s {admin}/api/cache/warm -X POST", "all groups now; answers when done"),
            ("curl -s {admin}/api/cache/invalidate-and-warm -d '{\"type\":\"all\"}'", "everything anew, and never a hole"),
        ],
    ),
    ("How often the API was really asked", &[("curl -s {}/api/_counts", "compare with what you asked")]),
];

/// The lines to try, with real addresses, aligned.
pub(super) fn to_try(front: SocketAddr, admin: SocketAddr) -> String {
    let (base, admin) = (format!("http://{front}"), format!("http://{admin}"));
    let filled = |line: &str| line.replacen("{}", &base, 1).replacen("{admin}", &admin, 1);
    // Longer ones push their comment out instead of everybody's.
    let width =
        LINES.iter().flat_map(|(_, lines)| *lines).map(|(line, _)| filled(line).len()).filter(|length| *length <= 88).max().unwrap_or(0);
    let mut text = String::from("\nTry:\n");
    for (heading, lines) in LINES {
        text += &format!("\n  # {heading}\n");
        for (line, comment) in *lines {
            text += &format!("  {:width$}   # {comment}\n", filled(line));
        }
    }
    text + "\nCtrl-C ends it.\n"
}

#[cfg(test)]
mod tests {
    use super::to_try;

    #[test]
    fn every_line_names_the_real_address() {
        let text = to_try(([127, 0, 0, 1], 4711).into(), ([127, 0, 0, 1], 4712).into());
        let curls: Vec<&str> = text.lines().filter(|line| line.contains("curl ")).collect();
        assert!(curls.len() > 12 && curls.iter().all(|line| line.contains("http://127.0.0.1:471") && line.contains("   # ")));
    }
}
