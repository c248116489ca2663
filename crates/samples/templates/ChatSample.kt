// Calls {{ call.method }} of the chat API by {{ call.way }}. Kotlin with the libraries of every Android. The manifest needs
// <uses-permission android:name="android.permission.INTERNET" />, and the address has to be https.
//
// The secret is an argument, because anybody who has the app can read a secret that is built into it. Get the secret from the
// person who signs in, or let your own server make the call.

{% if call.basic -%}
import android.util.Base64
{% endif -%}
import java.io.IOException
import java.net.HttpURLConnection
import java.net.URL
import java.net.URLEncoder
{%- if call.send %}
import java.util.UUID
{%- endif %}
import org.json.JSONException
import org.json.JSONObject

object ChatSample {
    /**
     * Makes the call and waits for its answer, so never on the main thread:
     * `withContext(Dispatchers.IO) { ChatSample.call(secret) }`.
     *
     * @throws IOException with the code of the error, or when no answer came.
     */
    fun call(secret: String): JSONObject {
        val fields = listOf(
{%- if call.http %}
            "user" to {{ call.user }},
            "password" to secret,
{%- endif %}
{%- for field in call.fields %}
            "{{ field.name }}" to {{ field.value }},
{%- endfor %}
{%- if call.send %}
            // Use one key per message: a retry with the same key never sends the message twice.
            "idempotency_key" to UUID.randomUUID().toString(),
{%- endif %}
            "class" to "chat",
            "method" to "{{ call.method }}"
        )
{%- if call.http %}
        val authorization: String? = null
{%- endif %}
{%- if call.basic %}
        val login = ({{ call.user }} + ":" + secret).toByteArray(Charsets.UTF_8)
        val authorization: String? = "Basic " + Base64.encodeToString(login, Base64.NO_WRAP)
{%- endif %}
        val answer = post({{ call.url }}, fields, authorization)
        // An error may have HTTP status 200, so check the status in the response.
        if (answer.optString("status") != "SUCCESS") {
            throw IOException(answer.optString("error", "not an answer of the chat API"))
        }
        return answer
    }

    private fun post(url: String, fields: List<Pair<String, String>>, authorization: String?): JSONObject {
        val form = fields.joinToString("&") { (name, value) -> name + "=" + URLEncoder.encode(value, "UTF-8") }
        val connection = URL(url).openConnection() as HttpURLConnection
        try {
            connection.connectTimeout = 5000
            connection.readTimeout = 30000
            connection.doOutput = true
            connection.setRequestProperty("Content-Type", "application/x-www-form-urlencoded")
            if (authorization != null) {
                connection.setRequestProperty("Authorization", authorization)
            }
            connection.outputStream.use { it.write(form.toByteArray(Charsets.UTF_8)) }
            // The error stream contains the body of an error response.
            val stream = if (connection.responseCode < 400) connection.inputStream else connection.errorStream
            val text = stream?.use { it.readBytes().toString(Charsets.UTF_8) } ?: ""
            return JSONObject(text)
        } catch (error: JSONException) {
            throw IOException("not an answer of the chat API", error)
        } finally {
            connection.disconnect()
        }
    }
}
