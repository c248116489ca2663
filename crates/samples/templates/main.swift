// Calls {{ call.method }} of the chat API by {{ call.way }}. Swift 5.7 or newer; needs {{ call.secret }} in the environment.

import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

func fail(_ why: String) -> Never {
    FileHandle.standardError.write(Data((why + "\n").utf8))
    exit(1)
}

/// Encodes everything except ASCII letters and digits. A plus sign is encoded too, because a form would read it as a space.
func form(_ fields: [(String, String)]) -> Data {
    let plain = CharacterSet(charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
    let pairs = fields.map { name, value in
        name + "=" + value.addingPercentEncoding(withAllowedCharacters: plain)!
    }
    return Data(pairs.joined(separator: "&").utf8)
}

func post(_ url: String, _ fields: [(String, String)], _ authorization: String?) async throws -> [String: Any] {
    var request = URLRequest(url: URL(string: url)!, timeoutInterval: 30)
    request.httpMethod = "POST"
    request.httpBody = form(fields)
    request.setValue("application/x-www-form-urlencoded", forHTTPHeaderField: "Content-Type")
    request.setValue(authorization, forHTTPHeaderField: "Authorization")
    let (body, _) = try await URLSession.shared.data(for: request)
    guard let answer = try? JSONSerialization.jsonObject(with: body) as? [String: Any] else {
        fail("not an answer of the chat API: " + String(decoding: body, as: UTF8.self))
    }
    return answer
}

guard let secret = ProcessInfo.processInfo.environment["{{ call.secret }}"], !secret.isEmpty else {
    fail("{{ call.secret }} is not set")
}
let fields = [
    ("class", "chat"),
    ("method", "{{ call.method }}"),
{%- if call.http %}
    ("user", {{ call.user }}),
    ("password", secret),
{%- endif %}
{%- for field in call.fields %}
    ("{{ field.name }}", {{ field.value }}),
{%- endfor %}
{%- if call.send %}
    // Use one key per message: a retry with the same key never sends the message twice.
    ("idempotency_key", UUID().uuidString),
{%- endif %}
]
do {
{%- if call.http %}
    let authorization: String? = nil
{%- endif %}
{%- if call.basic %}
    let authorization = "Basic " + Data(({{ call.user }} + ":" + secret).utf8).base64EncodedString()
{%- endif %}
{%- if call.jwt %}
    let login = [
        ("grant_type", "client_credentials"),
        ("client_id", {{ call.client_id }}),
        ("client_secret", secret),
        ("scope", "{{ call.method }}"),
    ]
    let token = try await post({{ call.token_url }}, login, nil)
    guard let bearer = token["access_token"] as? String else {
        fail("no token: \(token["error"] ?? "?")")
    }
    let authorization = "Bearer " + bearer
{%- endif %}
    let answer = try await post({{ call.url }}, fields, authorization)
    // An error may have HTTP status 200, so check the status in the response.
    guard answer["status"] as? String == "SUCCESS" else {
        fail(answer["error"] as? String ?? "not an answer of the chat API")
    }
    print(String(decoding: try JSONSerialization.data(withJSONObject: answer), as: UTF8.self))
} catch {
    fail("no answer: \(error.localizedDescription)")
}
