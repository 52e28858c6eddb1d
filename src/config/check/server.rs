//! `[server]`

use super::{rates, set};
use crate::config::kind::quote;
use crate::config::raw::{Findings, Table};
use crate::sidecar::settings::{ListenAddr, ServerSettings, TlsSettings};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

const LISTEN: &str = "server.listen";
const CERTIFICATE: &str = "server.tls.certificate";
const KEY: &str = "server.tls.key";
const PROXY: &str = "server.proxy_protocol";
const TRUSTED: &str = "server.trusted_proxies";

pub(super) fn check(root: &Table, findings: &mut Findings) -> ServerSettings {
    let mut server = ServerSettings::default();
    set(&mut server.listen, listen(root, findings));
    server.tls = tls(root, &server.listen, findings);
    set(&mut server.http2, root.bool("server.http2"));
    set(&mut server.max_streams, root.integer("server.max_streams").and_then(|streams| u32::try_from(streams).ok()));
    set(&mut server.proxy_protocol, root.bool(PROXY));
    set(&mut server.workers, root.integer("server.workers"));
    set(&mut server.max_request_body, root.bytes("server.max_request_body"));
    set(&mut server.max_header_bytes, root.bytes("server.max_header_bytes").and_then(|bytes| usize::try_from(bytes).ok()));
    set(&mut server.header_timeout, root.duration("server.header_timeout"));
    set(&mut server.idle_timeout, root.duration("server.idle_timeout"));
    set(&mut server.max_connections, root.integer("server.max_connections"));
    set(&mut server.max_connections_per_client, root.integer("server.max_connections_per_client"));
    set(&mut server.min_body_rate, root.bytes("server.min_body_rate"));
    set(&mut server.max_rate_clients, root.integer("server.max_rate_clients"));
    server.rate_limit = rates::general(root, findings);
    server.rule_limits = rates::of_rules(root, &server.rate_limit, findings);
    set(&mut server.trusted_proxies, trusted_proxies(root, findings));
    set(&mut server.drain_timeout, root.duration("server.drain_timeout"));
    if server.proxy_protocol && root.is_silent(TRUSTED) {
        let fix = "name the networks of your proxies in server.trusted_proxies";
        findings.warn(&root.place(PROXY), PROXY, "without server.trusted_proxies nobody may send a PROXY header", fix);
    }
    server
}

fn listen(root: &Table, findings: &mut Findings) -> Option<Vec<ListenAddr>> {
    let said = root.list(LISTEN)?;
    if said.is_empty() {
        findings.fault(&root.place(LISTEN), LISTEN, "names no address", "name one, as \"127.0.0.1:8080\"");
    }
    let mut addresses = Vec::new();
    for (text, place) in said {
        match parse_listen(text) {
            Ok(address) if addresses.contains(&address) && !is_any_port(&address) => {
                findings.fault(place, LISTEN, format!("{} is there twice", quote(text)), "remove one of them");
            }
            Ok(address) => addresses.push(address),
            Err(fix) => findings.fault(place, LISTEN, format!("{} is no address to listen on", quote(text)), fix),
        }
    }
    Some(addresses)
}

/// The files that an address of https needs. Whether they can be used is seen when they are opened.
fn tls(root: &Table, listen: &[ListenAddr], findings: &mut Findings) -> TlsSettings {
    let file = |key| root.text(key).unwrap_or_default().into();
    let tls = TlsSettings { certificate: file(CERTIFICATE), key: file(KEY) };
    let needed = listen.iter().find(|address| address.speaks_tls());
    if let (Some(address), false) = (needed, tls.is_whole()) {
        let found = format!("{address} needs a certificate and its key");
        let fix = "name their files:\n       [server.tls]\n       certificate = \"/etc/warmfront/fullchain.pem\"\n       key = \"/etc/warmfront/key.pem\"";
        findings.fault(&root.place(LISTEN), LISTEN, found, fix);
    }
    if needed.is_none() && tls != TlsSettings::default() {
        let key = if root.is_silent(CERTIFICATE) { KEY } else { CERTIFICATE };
        let fix = "write the address that shall speak TLS with its scheme: server.listen = \"https://0.0.0.0:8443\"";
        findings.warn(&root.place(key), key, "no address of server.listen begins with https://", fix);
    }
    tls
}

fn is_any_port(address: &ListenAddr) -> bool {
    matches!(address, ListenAddr::Tcp(address) | ListenAddr::Tls(address) if address.port() == 0)
}

/// An address, or what to write instead.
fn parse_listen(text: &str) -> Result<ListenAddr, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return match path {
            _ if !Path::new(path).is_absolute() => {
                Err("write the path of a unix socket from the root: \"unix:/run/warmfront.sock\"".into())
            }
            // sun_path of unix(7): 108 bytes with the final zero.
            _ if path.len() > 107 => Err("a unix socket's path has at most 107 bytes".into()),
            _ if path.contains('\0') => Err("a path has no zero byte".into()),
            _ => Ok(ListenAddr::Unix(path.into())),
        };
    }
    if let Some(rest) = text.strip_prefix("https://") {
        let advice = |_| {
            socket_advice(rest, 8443)
                .replace("write \"", "write \"https://")
                .replace("for this machine alone, \"", "for this machine alone, \"https://")
        };
        return rest.trim_end_matches('/').parse().map(ListenAddr::Tls).map_err(advice);
    }
    text.parse().map(ListenAddr::Tcp).map_err(|_| socket_advice(text, 8080))
}

/// What to write instead of `text` for the address of a socket.
pub(super) fn socket_advice(text: &str, port: u16) -> String {
    let text = text.trim().trim_start_matches("http://").trim_end_matches('/');
    let (host, port_text) = match text.rsplit_once(':') {
        _ if text.parse::<IpAddr>().is_ok() => (text, ""),
        Some(parts) => parts,
        None if text.parse::<u16>().is_ok() => ("", text),
        None => (text, ""),
    };
    let port = port_text.parse().unwrap_or(port);
    match host.trim_matches(['[', ']']) {
        "localhost" => format!("write the address itself: \"127.0.0.1:{port}\""),
        "" | "*" => format!("write \"127.0.0.1:{port}\" for this machine alone, \"0.0.0.0:{port}\" for everybody"),
        host => match host.parse::<IpAddr>() {
            Ok(ip) => format!("write address and port: \"{}\"", SocketAddr::new(ip, port)),
            Err(_) => format!("write an IP address and a port, as \"127.0.0.1:{port}\" or \"[::1]:{port}\", or \"unix:/path\""),
        },
    }
}

fn trusted_proxies(root: &Table, findings: &mut Findings) -> Option<Vec<IpNet>> {
    let mut networks = Vec::new();
    for (text, place) in root.list(TRUSTED)? {
        match text.parse::<IpNet>().or_else(|error| text.parse::<IpAddr>().map(IpNet::from).map_err(|_| error)) {
            Ok(network) if network.trunc() != network => {
                let fix = format!("write the network \"{}\", or the one address \"{}\"", network.trunc(), network.addr());
                findings.fault(place, TRUSTED, format!("{} has bits beyond its prefix", quote(text)), fix);
            }
            Ok(network) if network.prefix_len() == 0 => {
                findings.warn(place, TRUSTED, format!("{text} believes everybody's X-Forwarded-For"), "name the networks of your proxies");
                networks.push(network);
            }
            Ok(network) => networks.push(network),
            Err(_) => {
                let fix = "write a network or an address: \"10.0.0.0/8\", \"192.168.1.7\", \"fd00::/8\"";
                findings.fault(place, TRUSTED, format!("{} is no network", quote(text)), fix);
            }
        }
    }
    Some(networks)
}

#[cfg(test)]
mod tests {
    use super::{parse_listen, socket_advice};
    use crate::sidecar::settings::ListenAddr;

    #[test]
    fn addresses_are_literal() {
        for text in ["127.0.0.1:8080", "[::1]:8080", "0.0.0.0:0"] {
            assert_eq!(parse_listen(text), Ok(ListenAddr::Tcp(text.parse().unwrap())));
        }
        assert_eq!(parse_listen("https://[::]:8443"), Ok(ListenAddr::Tls("[::]:8443".parse().unwrap())));
        assert!(parse_listen("https://:8443").unwrap_err().contains("\"https://0.0.0.0:8443\""));
        assert_eq!(parse_listen("unix:/run/wf.sock"), Ok(ListenAddr::Unix("/run/wf.sock".into())));
        for text in ["localhost:80", "8080", ":8080", "127.0.0.1", "1.2.3.4:99999", "unix:", "unix:wf.sock", "", "http://127.0.0.1:80"] {
            assert!(parse_listen(text).is_err(), "{text}");
        }
        assert!(parse_listen(&format!("unix:/{}", "x".repeat(107))).is_err());
    }

    #[test]
    fn the_advice_is_what_was_probably_meant() {
        for (text, advice) in [
            ("localhost:81", "127.0.0.1:81"),
            (":82", "0.0.0.0:82"),
            ("83", "127.0.0.1:83"),
            ("10.0.0.1", "10.0.0.1:8080"),
            ("::1", "[::1]:8080"),
            ("example.com:8", "IP address"),
        ] {
            assert!(socket_advice(text, 8080).contains(advice), "{text}: {}", socket_advice(text, 8080));
        }
    }
}
