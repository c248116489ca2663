# Calls {{ call.method }} of the chat API by {{ call.way }}. Ruby 2.6 or newer; needs {{ call.secret }} in the environment.

require "json"
require "net/http"
{%- if call.send %}
require "securerandom"
{%- endif %}
require "uri"
{%- if call.soap %}
require "rexml/document"
{%- endif %}

def post(url, body, headers)
  uri = URI(url)
  options = { use_ssl: uri.scheme == "https", open_timeout: 5, read_timeout: 30 }
  Net::HTTP.start(uri.host, uri.port, **options) { |http| http.post(uri.request_uri, body, headers).body.force_encoding("UTF-8") }
rescue SystemCallError, SocketError, IOError, Timeout::Error, OpenSSL::SSL::SSLError => error
  abort "no answer: #{error.message}"
end

secret = ENV.fetch("{{ call.secret }}", "")
abort "{{ call.secret }} is not set" if secret.empty?

fields = {
{%- if !call.soap %}
  "class" => "chat",
  "method" => "{{ call.method }}",
{%- endif %}
{%- if call.http || call.soap %}
  "user" => {{ call.user }},
  "password" => secret,
{%- endif %}
{%- for field in call.fields %}
  "{{ field.name }}" => {{ field.value }},
{%- endfor %}
{%- if call.send %}
  # Use one key per message: a retry with the same key never sends the message twice.
  "idempotency_key" => SecureRandom.uuid,
{%- endif %}
}
{%- if call.soap %}

# Escape characters that XML can't contain. A bare carriage return would arrive as a line feed.
children = fields.map { |name, value| "<#{name}>#{value.encode(xml: :text).gsub("\r", "&#13;")}</#{name}>" }
body = <<~XML
  <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>
  <{{ call.method }} xmlns="urn:chatgate:chat:v1">#{children.join}</{{ call.method }}>
  </s:Body></s:Envelope>
XML
answer = post({{ call.url }}, body, "Content-Type" => "text/xml; charset=utf-8")
begin
  document = REXML::Document.new(answer)
rescue REXML::ParseException
  abort "not an answer of the chat API: #{answer}"
end
# The code is in the detail of a fault.
unless REXML::XPath.first(document, "//*[local-name()='{{ call.method }}Response']")
  code = REXML::XPath.first(document, "//*[local-name()='code']")
  abort(code ? code.text : "not an answer of the chat API: #{answer}")
end
puts answer
{%- else %}
{%- if call.jwt %}

login = {
  "grant_type" => "client_credentials",
  "client_id" => {{ call.client_id }},
  "client_secret" => secret,
  "scope" => "{{ call.method }}",
}
form = { "Content-Type" => "application/x-www-form-urlencoded" }
token = post({{ call.token_url }}, URI.encode_www_form(login), form)
begin
  bearer = JSON.parse(token).fetch("access_token")
rescue JSON::ParserError, KeyError
  abort "no token: #{token}"
end
{%- endif %}

headers = { "Content-Type" => "application/x-www-form-urlencoded" }
{%- if call.jwt %}
headers["Authorization"] = "Bearer #{bearer}"
{%- endif %}
{%- if call.basic %}
headers["Authorization"] = "Basic " + [{{ call.user }} + ":" + secret].pack("m0")
{%- endif %}
text = post({{ call.url }}, URI.encode_www_form(fields), headers)
begin
  answer = JSON.parse(text)
rescue JSON::ParserError
  abort "not an answer of the chat API: #{text}"
end
# An error may have HTTP status 200, so check the status in the response.
abort(answer["error"] || text) unless answer["status"] == "SUCCESS"
puts text
{%- endif %}
