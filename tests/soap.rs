//! Tests of SOAP as its clients see it: the WSDL, both versions, and expired messages.

use reqwest::Method;

use crate::harness::{Answer, Gateway, client, envelope};

#[tokio::test]
async fn the_wsdl_contains_the_public_url_regardless_of_the_host_header() {
    let gateway = Gateway::configured("[server]\npublic_url = \"https://chat.example.com\"\n", &[]);
    for query in ["?wsdl", "?WSDL", "?singleWsdl&wsdl"] {
        let answer = Answer::of(
            client()
                .get(gateway.url(&format!("/api/soap/{query}")))
                .header("Host", "evil.example"),
        )
        .await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, "text/xml; charset=utf-8")
        );
        assert_eq!(
            answer
                .body
                .matches("location=\"https://chat.example.com/api/soap/\"")
                .count(),
            2,
            "{}",
            answer.body
        );
    }
    let plain = Answer::of(client().get(gateway.url("/api/soap/"))).await;
    assert!(plain.status == 500 && plain.body.contains("HTTP_METHOD_NOT_ALLOWED"));
}

#[tokio::test]
async fn each_soap_version_has_its_own_wsdl() {
    let gateway = Gateway::start();
    let ask = async |method: Method, query: &str| {
        let url = gateway.url(&format!("/api/soap/?{query}"));
        Answer::of(client().request(method, url)).await
    };
    for (query, own, other) in [
        ("wsdl=1.1", "ChatSoap11", "soap12:"),
        ("WSDL=1.2", "ChatSoap12", "ChatSoap11"),
    ] {
        let wsdl = ask(Method::GET, query).await;
        assert_eq!(
            (wsdl.status, wsdl.header("content-type")),
            (200, "text/xml; charset=utf-8")
        );
        assert_eq!(wsdl.body.matches("<wsdl:port ").count(), 1, "{}", wsdl.body);
        assert!(wsdl.body.contains(own) && !wsdl.body.contains(other));
        let head = ask(Method::HEAD, query).await;
        let length = |answer: &Answer| answer.header("content-length").to_owned();
        assert_eq!((head.status, length(&head)), (200, length(&wsdl)));
    }
    for query in ["wsdl=2.0", "wsdl=1.1&wsdl=1.2"] {
        let unknown = ask(Method::GET, query).await;
        assert_eq!(unknown.status, 500);
        assert!(unknown.body.contains("<s:Fault>"), "{}", unknown.body);
        assert!(unknown.body.contains("INCORRECT_PARAM"), "{}", unknown.body);
        assert!(unknown.body.contains("?wsdl=1.1"), "{}", unknown.body);
    }
}

#[tokio::test]
async fn soap_answers_use_the_version_of_the_request() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    let eleven = envelope(
        "getchatchannels",
        &[("user", &demo.user), ("password", &demo.password)],
    );
    let twelve = eleven.replace(
        "http://schemas.xmlsoap.org/soap/envelope/",
        "http://www.w3.org/2003/05/soap-envelope",
    );
    for (xml, content_type) in [
        (eleven, "text/xml; charset=utf-8"),
        (twelve, "application/soap+xml; charset=utf-8"),
    ] {
        let call = client()
            .post(gateway.url("/api/soap"))
            .header("Content-Type", content_type)
            .body(xml.clone());
        let answer = Answer::of(call).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, content_type)
        );
        assert_eq!(
            answer.body.matches("<c:item>").count(),
            5,
            "{}",
            answer.body
        );
        let wrong = xml.replace(&demo.password, "wrong");
        let fault = Answer::of(
            client()
                .post(gateway.url("/api/soap"))
                .header("Content-Type", content_type)
                .body(wrong),
        )
        .await;
        let expected = if content_type.starts_with("text") {
            500
        } else {
            400
        };
        assert_eq!(
            (fault.status, fault.header("content-type")),
            (expected, content_type)
        );
    }
}

#[tokio::test]
async fn a_message_that_has_expired_is_rejected_if_its_sender_requires_the_check() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    let credentials = [("user", &*demo.user), ("password", &*demo.password)];
    let call = envelope("getchatchannels", &credentials);
    let wss = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity";
    for (mandatory, expires, status) in [
        ("1", "2020-01-01T00:00:00Z", 500),
        ("0", "2020-01-01T00:00:00Z", 200),
        ("1", "2999-01-01T00:00:00Z", 200),
    ] {
        let header = format!(
            "<s:Header><w:Security xmlns:w=\"{wss}-secext-1.0.xsd\" xmlns:u=\"{wss}-utility-1.0.xsd\" \
             s:mustUnderstand=\"{mandatory}\"><u:Timestamp><u:Expires>{expires}</u:Expires></u:Timestamp></w:Security></s:Header><s:Body>"
        );
        let body = call.replacen("<s:Body>", &header, 1);
        let answer = Answer::of(client().post(gateway.url("/api/soap/")).body(body)).await;
        assert_eq!(
            answer.status, status,
            "{mandatory} {expires}: {}",
            answer.body
        );
        let code = "<c:code>MALFORMED_REQUEST</c:code>";
        assert_eq!(answer.body.contains(code), status == 500, "{}", answer.body);
    }
}
