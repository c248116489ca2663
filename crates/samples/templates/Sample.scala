// Calls {{ call.method }} of the chat API by {{ call.way }}. Scala 2.11 or newer on Java 11 or newer; needs {{ call.secret }} in the environment.

import java.io.IOException
import java.net.{URI, URLEncoder}
import java.net.http.{HttpClient, HttpRequest, HttpResponse}
import java.time.Duration
{%- if call.basic %}
import java.util.Base64
{%- endif %}
{%- if call.send %}
import java.util.UUID
{%- endif %}

object Sample {
  def main(arguments: Array[String]): Unit = {
    val secret = sys.env.getOrElse("{{ call.secret }}", "")
    if (secret.isEmpty) fail("{{ call.secret }} is not set")
    val fields = Seq(
      "class" -> "chat",
      "method" -> "{{ call.method }}"
{%- if call.http -%}
      ,
      "user" -> {{ call.user }},
      "password" -> secret
{%- endif %}
{%- for field in call.fields -%}
      ,
      "{{ field.name }}" -> {{ field.value }}
{%- endfor %}
{%- if call.send -%}
      ,
      // Use one key per message: a retry with the same key never sends the message twice.
      "idempotency_key" -> UUID.randomUUID.toString
{%- endif %}
    )
{%- if call.http %}
    val authorization = None
{%- endif %}
{%- if call.basic %}
    val login = ({{ call.user }} + ":" + secret).getBytes("UTF-8")
    val authorization = Some("Basic " + Base64.getEncoder.encodeToString(login))
{%- endif %}
{%- if call.jwt %}
    val token = post({{ call.token_url }}, Seq(
      "grant_type" -> "client_credentials",
      "client_id" -> {{ call.client_id }},
      "client_secret" -> secret,
      "scope" -> "{{ call.method }}"
    ), None)
    val authorization = Some("Bearer " + member(token, "access_token"))
{%- endif %}
    val answer = post({{ call.url }}, fields, authorization)
    // An error may have HTTP status 200, so check the status in the response. No JSON library is needed: a
    // response is one compact line that begins with its status.
    if (!answer.startsWith("{\"status\":\"SUCCESS\"")) fail(member(answer, "error"))
    println(answer)
  }

  private def post(url: String, fields: Seq[(String, String)], authorization: Option[String]): String = {
    val form = fields.map { case (name, value) => name + "=" + URLEncoder.encode(value, "UTF-8") }
    val client = HttpClient.newBuilder
      .version(HttpClient.Version.HTTP_1_1)
      .connectTimeout(Duration.ofSeconds(5))
      .build()
    val request = HttpRequest.newBuilder(URI.create(url))
      .timeout(Duration.ofSeconds(30))
      .header("Content-Type", "application/x-www-form-urlencoded")
      .POST(HttpRequest.BodyPublishers.ofString(form.mkString("&")))
    authorization.foreach(value => request.header("Authorization", value))
    try client.send(request.build(), HttpResponse.BodyHandlers.ofString()).body()
    catch { case error: IOException => fail("no answer: " + error) }
  }

  /** A member whose value needs no escapes: a code or a token. */
  private def member(json: String, name: String): String = {
    val pattern = ("\"" + name + "\":\"([^\"\\\\]*)\"").r
    pattern.findFirstMatchIn(json).map(_.group(1)).getOrElse(fail("not an answer of the chat API: " + json))
  }

  private def fail(why: String): Nothing = {
    System.err.println(why)
    sys.exit(1)
  }
}
