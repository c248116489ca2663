// Calls {{ call.method }} of the chat API by {{ call.way }}. Java 11 or newer; needs {{ call.secret }} in the environment.
{% if call.soap %}
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.StringWriter;
{%- else %}
import java.io.IOException;
{%- endif %}
import java.net.URI;
{%- if !call.soap %}
import java.net.URLEncoder;
{%- endif %}
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
{%- if call.basic %}
import java.util.Base64;
{%- endif %}
{%- if call.send %}
import java.util.UUID;
{%- endif %}
{%- if !call.soap %}
import java.util.regex.Matcher;
{%- endif %}
{%- if !call.soap %}
import java.util.regex.Pattern;
{%- endif %}
{%- if call.soap %}
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
{%- endif %}

public class Sample {
    private static final String URL = {{ call.url }};

    public static void main(String[] arguments) throws Exception {
        String secret = System.getenv("{{ call.secret }}");
        if (secret == null || secret.isEmpty()) {
            fail("{{ call.secret }} is not set");
        }
        String[][] fields = {
{%- if !call.soap %}
            {"class", "chat"},
            {"method", "{{ call.method }}"},
{%- endif %}
{%- if call.http || call.soap %}
            {"user", {{ call.user }}},
            {"password", secret},
{%- endif %}
{%- for field in call.fields %}
            {"{{ field.name }}", {{ field.value }}},
{%- endfor %}
{%- if call.send %}
            // Use one key per message: a retry with the same key never sends the message twice.
            {"idempotency_key", UUID.randomUUID().toString()},
{%- endif %}
        };
{%- if call.soap %}
        String answer = post(URL, "text/xml; charset=utf-8", envelope("{{ call.method }}", fields), null);
        Document document = factory().newDocumentBuilder()
                .parse(new ByteArrayInputStream(answer.getBytes(StandardCharsets.UTF_8)));
        // The code is in the detail of a fault.
        if (document.getElementsByTagNameNS("*", "{{ call.method }}Response").getLength() != 1) {
            Element code = (Element) document.getElementsByTagNameNS("urn:chatgate:chat:v1", "code").item(0);
            fail(code == null ? answer : code.getTextContent());
        }
        System.out.println(answer);
    }

    /** Returns the call as a SOAP 1.1 envelope. The serializer escapes characters that XML can't contain. */
    private static String envelope(String method, String[][] fields) throws Exception {
        String soap = "http://schemas.xmlsoap.org/soap/envelope/";
        String chat = "urn:chatgate:chat:v1";
        Document document = factory().newDocumentBuilder().newDocument();
        Element envelope = document.createElementNS(soap, "s:Envelope");
        Element body = document.createElementNS(soap, "s:Body");
        Element call = document.createElementNS(chat, method);
        for (String[] field : fields) {
            Element child = document.createElementNS(chat, field[0]);
            child.setTextContent(field[1]);
            call.appendChild(child);
        }
        document.appendChild(envelope).appendChild(body).appendChild(call);
        StringWriter text = new StringWriter();
        TransformerFactory.newInstance().newTransformer()
                .transform(new DOMSource(document), new StreamResult(text));
        return text.toString();
    }

    private static DocumentBuilderFactory factory() throws Exception {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        factory.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
        return factory;
    }
{%- else %}
{%- if call.jwt %}
        String token = post({{ call.token_url }}, form(new String[][] {
            {"grant_type", "client_credentials"},
            {"client_id", {{ call.client_id }}},
            {"client_secret", secret},
            {"scope", "{{ call.method }}"},
        }), null);
        String authorization = "Bearer " + member(token, "access_token");
{%- endif %}
{%- if call.basic %}
        byte[] login = ({{ call.user }} + ":" + secret).getBytes(StandardCharsets.UTF_8);
        String authorization = "Basic " + Base64.getEncoder().encodeToString(login);
{%- endif %}
{%- if call.http %}
        String authorization = null;
{%- endif %}
        String answer = post(URL, form(fields), authorization);
        // An error may have HTTP status 200, so check the status in the response. The JDK has no JSON
        // parser, and none is needed: a response is one compact line that begins with its status.
        if (!answer.startsWith("{\"status\":\"SUCCESS\"")) {
            fail(member(answer, "error"));
        }
        System.out.println(answer);
    }

    private static String form(String[][] fields) {
        StringBuilder form = new StringBuilder();
        for (String[] field : fields) {
            form.append(form.length() == 0 ? "" : "&").append(field[0]).append('=')
                    .append(URLEncoder.encode(field[1], StandardCharsets.UTF_8));
        }
        return form.toString();
    }

    /** Returns a member whose value contains no escapes: a code or a token. */
    private static String member(String json, String name) {
        Matcher found = Pattern.compile("\"" + name + "\":\"([^\"\\\\]*)\"").matcher(json);
        if (!found.find()) {
            fail("not an answer of the chat API: " + json);
        }
        return found.group(1);
    }

    private static String post(String url, String form, String authorization) throws Exception {
        return post(url, "application/x-www-form-urlencoded", form, authorization);
    }
{%- endif %}

    private static String post(String url, String type, String body, String authorization) throws Exception {
        HttpClient client = HttpClient.newBuilder()
                .version(HttpClient.Version.HTTP_1_1)
                .connectTimeout(Duration.ofSeconds(5))
                .build();
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url))
                .timeout(Duration.ofSeconds(30))
                .header("Content-Type", type)
                .POST(HttpRequest.BodyPublishers.ofString(body, StandardCharsets.UTF_8));
        if (authorization != null) {
            request.header("Authorization", authorization);
        }
        try {
            return client.send(request.build(), HttpResponse.BodyHandlers.ofString(StandardCharsets.UTF_8)).body();
        } catch (IOException error) {
            fail("no answer: " + error);
            throw error;
        }
    }

    private static void fail(String why) {
        System.err.println(why);
        System.exit(1);
    }
}
