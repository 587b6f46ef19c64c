//! `X-Forwarded-For`: whom proxies say that a request is for.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{Refusal, Request};

const FIELD: &str = "x-forwarded-for";

/// The client of a request that came from a proxy, if the proxy names one.
///
/// Each proxy appends the address it was asked from, over any number of header lines. So the list is
/// read from its end: past proxies that `is_trusted`, up to the first address that is none. What
/// stands before that was written by who knows whom, and is not looked at. When all are trusted it
/// is the first of them. The port is 0 where the list has none, as is usual; brackets around an IPv6
/// address are allowed.
///
/// # Errors
/// 400 when a proxy that is trusted wrote something that is no address.
pub fn forwarded_for(
    request: &Request,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Result<Option<SocketAddr>, Refusal> {
    let hops: Vec<&str> = request.header_list(FIELD).collect();
    let mut client = None;
    for hop in hops.into_iter().rev() {
        let address = parse(hop).ok_or_else(|| {
            Refusal::new(400, format!("X-Forwarded-For holds {hop:?}, which is no address"))
        })?;
        client = Some(address);
        if !is_trusted(address.ip()) {
            break;
        }
    }
    Ok(client)
}

/// Refuses a request that says whom it is for although nobody trusts its sender with that.
///
/// # Errors
/// 400 when there is such a header field.
pub fn refuse_forwarded_for(request: &Request) -> Result<(), Refusal> {
    match request.header(FIELD) {
        None => Ok(()),
        Some(_) => {
            let why = "X-Forwarded-For is taken from trusted proxies only";
            Err(Refusal::new(400, why).closing())
        }
    }
}

fn parse(hop: &str) -> Option<SocketAddr> {
    let without_port = || {
        let bracketed = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']'));
        match bracketed {
            Some(address) => address.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            None => hop.parse().ok(),
        }
        .map(|ip| SocketAddr::new(ip, 0))
    };
    let address = hop.parse::<SocketAddr>().ok().or_else(without_port)?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

#[cfg(test)]
mod tests {
    use super::super::{RequestLimits, RequestReader};
    use super::*;

    fn request(fields: &[&str]) -> Request {
        let fields: String = fields.iter().map(|it| format!("X-Forwarded-For: {it}\r\n")).collect();
        let head = format!("GET / HTTP/1.1\r\nHost: chat.example\r\n{fields}\r\n");
        let read = RequestReader::new().read(head.as_bytes(), &RequestLimits::default());
        read.expect("a valid request").1.expect("a whole one")
    }

    /// Proxies are those of 10.0.0.0/8.
    fn client(fields: &[&str]) -> Result<Option<String>, String> {
        let is_trusted = |ip| matches!(ip, IpAddr::V4(ip) if ip.octets()[0] == 10);
        forwarded_for(&request(fields), is_trusted)
            .map(|client| client.map(|it| it.to_string()))
            .map_err(|refusal| refusal.to_string())
    }

    fn is(address: &str) -> Result<Option<String>, String> {
        Ok(Some(address.to_owned()))
    }

    #[test]
    fn the_last_address_that_is_no_proxy_is_the_client() {
        assert_eq!(client(&["192.0.2.1"]), is("192.0.2.1:0"));
        assert_eq!(client(&["198.51.100.9, 192.0.2.1 , 10.0.0.1,10.0.0.2"]), is("192.0.2.1:0"));
        assert_eq!(client(&["198.51.100.9, 192.0.2.1", "10.0.0.1"]), is("192.0.2.1:0"));
        assert_eq!(client(&["10.0.0.1, 10.0.0.2"]), is("10.0.0.1:0"));
        assert_eq!(client(&[]), Ok(None));
        assert_eq!(client(&[" , "]), Ok(None));
    }

    #[test]
    fn an_address_may_wear_brackets_and_a_port() {
        assert_eq!(client(&["192.0.2.1:4711"]), is("192.0.2.1:4711"));
        assert_eq!(client(&["2001:db8::1"]), is("[2001:db8::1]:0"));
        assert_eq!(client(&["[2001:db8::1]"]), is("[2001:db8::1]:0"));
        assert_eq!(client(&["[2001:db8::1]:4711"]), is("[2001:db8::1]:4711"));
        assert_eq!(client(&["::ffff:192.0.2.1"]), is("192.0.2.1:0"));
        assert_eq!(client(&["192.0.2.1, [::ffff:10.0.0.1]:80"]), is("192.0.2.1:0"));
    }

    #[test]
    fn what_a_client_wrote_itself_is_not_looked_at_and_what_a_proxy_wrote_is() {
        assert_eq!(client(&["<script>, 192.0.2.1, 10.0.0.1"]), is("192.0.2.1:0"));
        for garbage in ["unknown", "192.0.2.1:99999", "[192.0.2.1]", "192.0.2.1/32", "_hidden"] {
            let answer = format!("400 X-Forwarded-For holds {garbage:?}, which is no address");
            assert_eq!(client(&[garbage, "10.0.0.1"]), Err(answer.clone()));
            assert_eq!(client(&["192.0.2.1", garbage]), Err(answer));
        }
    }

    #[test]
    fn nobody_else_may_send_the_field() {
        assert!(refuse_forwarded_for(&request(&[])).is_ok());
        assert!(refuse_forwarded_for(&request(&[""])).is_err());
    }
}
