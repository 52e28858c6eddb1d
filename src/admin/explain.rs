//! `GET /api/cache/explain`: what would become of a request, and why.

use crate::admin::Rooms;
use crate::admin::answer::Answer;
use crate::admin::asked::Asked;
use crate::admin::bad::{BadParameter, all, only};
use crate::admin::problem::Problem;
use crate::cache::Site;
use crate::suggest::quote;
use http::header::HOST;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use serde_json::{Value, json};

/// Header lines of one request.
pub(super) const MOST_HEADERS: usize = 100;

/// The explanation for the request that `query` describes, decoded: `url` (a path, or a whole URL), `header` (`name: value`, any number of times), and
/// `method`. A URL says its scheme; a path has the one that readers use most. It belongs to the host of a `header=host:..`, else to the one that readers name most, else to the one that is warmed for.
///
/// # Errors
/// The parameter that makes no request.
pub(crate) fn explain(rooms: &Rooms, query: &[(String, String)]) -> Result<Value, BadParameter> {
    let explanation = rooms.cache.explain(described(rooms, query)?);
    let mut value = explanation.to_json();
    value["warmedBy"] = rooms.warm.warmed_by(&explanation).map_or(Value::Null, |group| (*group).into());
    value["text"] = explanation.to_string().into();
    Ok(value)
}

/// [`explain`] as a call.
pub(super) fn answer(rooms: &Rooms, asked: &Asked) -> Result<Answer, Problem> {
    let told = explain(rooms, &asked.query).map_err(|bad| Problem::at(&format!("?{}", bad.name), &bad.fault))?;
    Ok(Answer::json(&json!({ "success": true, "data": told })))
}

/// The request as a reader would send it through the sidecar: with a path and a Host.
fn described(rooms: &Rooms, query: &[(String, String)]) -> Result<Request<()>, BadParameter> {
    let url = only(query, "url")?
        .ok_or_else(|| BadParameter::new("url", "write a path with its query, as /api/x?y=1, or a URL of http or https"))?;
    let (named, target) = target(url)?;
    let mut request = Request::new(());
    if let Some(method) = only(query, "method")? {
        let parsed = Method::from_bytes(method.as_bytes());
        *request.method_mut() = parsed.map_err(|_| BadParameter::new("method", format!("{} is no method", quote(method))))?;
    }
    for (at, line) in all(query, "header").enumerate() {
        let (name, value) = header(line)?;
        if at >= MOST_HEADERS {
            return Err(BadParameter::new("header", format!("at most {MOST_HEADERS} lines")));
        }
        if name == HOST && named.is_some() {
            return Err(BadParameter::new("header", "the url names a host already"));
        }
        request.headers_mut().append(name, value);
    }
    let site = named.unwrap_or_else(|| usual_site(rooms));
    let site = match request.headers().get(HOST).map(|host| host.to_str().ok()?.parse().ok()) {
        Some(None) => return Err(BadParameter::new("header", "what is said of host is no host")),
        Some(Some(authority)) => Site::new(site.is_https(), authority),
        None => site,
    };
    if !request.headers().contains_key(HOST) {
        request.headers_mut().insert(HOST, site.host().ok_or_else(|| BadParameter::new("url", "its host is none"))?);
    }
    *request.uri_mut() = site.uri(target).ok_or_else(|| BadParameter::new("url", "it is no target of a request"))?;
    Ok(request)
}

/// The site that a URL names, and its path and query.
fn target(url: &str) -> Result<(Option<Site>, PathAndQuery), BadParameter> {
    let bad = || BadParameter::new("url", format!("{} is neither a path that begins with / nor a URL of http or https", quote(url)));
    if url.starts_with('/') {
        return url.parse().map(|target| (None, target)).map_err(|_| bad());
    }
    let uri: Uri = url.parse().map_err(|_| bad())?;
    let authority = uri.authority().filter(|_| matches!(uri.scheme_str(), Some("http" | "https"))).ok_or_else(bad)?;
    let named = authority.as_str().rsplit('@').next().unwrap_or_default();
    let site = Site::new(uri.scheme() == Some(&Scheme::HTTPS), named.parse().map_err(|_| bad())?);
    Ok((Some(site), uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))))
}

fn header(line: &str) -> Result<(HeaderName, HeaderValue), BadParameter> {
    // Its value may be a credential: it is not repeated.
    let (name, value) = line.split_once(':').ok_or_else(|| BadParameter::new("header", "write name: value"))?;
    let name: HeaderName =
        name.trim().parse().map_err(|_| BadParameter::new("header", format!("{} is no name of a field", quote(name))))?;
    let value = HeaderValue::from_str(value.trim());
    let value = value.map_err(|_| BadParameter::new("header", format!("what is said of {name} cannot be the value of a field")))?;
    Ok((name, value))
}

fn usual_site(rooms: &Rooms) -> Site {
    rooms.cache.usual_site().or_else(|| rooms.warm.hosts().first().cloned()).unwrap_or_else(Site::localhost)
}

#[cfg(test)]
mod tests {
    use super::explain;
    use crate::admin::rooms::{House, get};
    use crate::warm::Group;
    use crate::{Rule, Settings};
    use serde_json::Value;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn ask(house: &House, query: &[(&str, &str)]) -> Value {
        explain(&house.rooms, &pairs(query)).unwrap()
    }

    #[tokio::test]
    async fn a_path_belongs_to_the_host_that_readers_name() {
        let house = House::new(Settings::default(), |plan| plan);
        house.ask(get("/a?x=1")).await;
        let told = ask(&house, &[("url", "/a?x=1")]);
        assert_eq!((&told["verdict"]["outcome"], &told["key"]["authority"]), (&"hit".into(), &"h".into()), "{told}");
        assert_eq!(ask(&house, &[("url", "https://H/a?x=1")])["verdict"]["outcome"], "miss", "each scheme has its own");
        assert_eq!(ask(&house, &[("url", "/a?x=1"), ("header", "host: other")])["verdict"]["outcome"], "miss");
        assert_eq!(ask(&house, &[("url", "/a?x=1"), ("header", "accept-language: en")])["verdict"]["forward"], "vary-miss");
        assert_eq!(ask(&house, &[("url", "/a?x=1"), ("method", "POST")])["route"], "pass");
        assert!(told["text"].as_str().unwrap().starts_with("GET http://h/a?x=1\n"), "{told}");
    }

    #[tokio::test]
    async fn the_group_that_warmed_a_copy_is_named() {
        let house = House::new(Settings::default(), |plan| plan.group(Group::new("brands").request("/warm").unwrap()));
        house.rooms.warm.run(None, false).await.unwrap().unwrap().ended().await;
        let told = ask(&house, &[("url", "/warm")]);
        assert_eq!((&told["stored"]["warmed"], &told["warmedBy"]), (&true.into(), &"brands".into()), "{told}");
        house.ask(get("/read")).await;
        assert_eq!(ask(&house, &[("url", "http://h/read")])["warmedBy"], Value::Null);
    }

    #[tokio::test]
    async fn an_identity_is_never_repeated() {
        let rule = Rule::path("/me").unwrap().per_identity(http::header::AUTHORIZATION);
        let house = House::new(Settings { rules: vec![rule], ..Settings::default() }, |plan| plan);
        let mut mine = get("/me");
        mine.headers_mut().insert("authorization", "Bearer sesame".parse().unwrap());
        house.ask(mine).await;
        let told = ask(&house, &[("url", "/me"), ("header", "authorization: Bearer sesame"), ("header", "cookie: sesame")]);
        assert_eq!((&told["verdict"]["outcome"], &told["key"]["partitioned"]), (&"hit".into(), &true.into()), "{told}");
        assert!(!told.to_string().contains("sesame"));
        assert_eq!(ask(&house, &[("url", "/me")])["verdict"]["outcome"], "miss", "of nobody");
    }

    #[tokio::test]
    async fn what_makes_no_request_is_named() {
        let house = House::new(Settings::default(), |plan| plan);
        for (query, name) in [
            (&[][..], "url"),
            (&[("url", "")], "url"),
            (&[("url", "api/x")], "url"),
            (&[("url", "ftp://h/x")], "url"),
            (&[("url", "/a b")], "url"),
            (&[("url", "/a"), ("url", "/b")], "url"),
            (&[("url", "/a"), ("method", "G T")], "method"),
            (&[("url", "/a"), ("header", "secret")], "header"),
            (&[("url", "/a"), ("header", "a b: c")], "header"),
            (&[("url", "/a"), ("header", "a: secret\r\nb: c")], "header"),
            (&[("url", "http://h/a"), ("header", "host: other")], "header"),
            (&[("url", "/a"), ("header", "a:"), ("method", "GET"), ("method", "PUT")], "method"),
        ] {
            let bad = explain(&house.rooms, &pairs(query)).unwrap_err();
            assert_eq!(bad.name, name, "{query:?}");
            assert!(!bad.fault.contains("secret"), "{bad}");
        }
        let many = vec![("header".to_owned(), "a: b".to_owned()); 200];
        assert_eq!(explain(&house.rooms, &[pairs(&[("url", "/a")]), many].concat()).unwrap_err().name, "header");
    }
}
