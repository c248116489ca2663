// Calls {{ call.method }} of the chat API by {{ call.way }}. .NET, .NET Framework 4.6 or Mono; needs {{ call.secret }} in the environment.
// Mono: mcs Sample.cs -r:System.Net.Http -r:System.Xml -r:System.Xml.Linq -r:System.Runtime.Serialization

using System;
using System.Collections.Generic;
using System.IO;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Runtime.Serialization.Json;
using System.Text;
using System.Threading.Tasks;
using System.Xml;
using System.Xml.Linq;

public static class Sample
{
    private static readonly HttpClient Client = new HttpClient { Timeout = TimeSpan.FromSeconds(30) };

    public static int Main()
    {
        try
        {
            Console.WriteLine(Call().GetAwaiter().GetResult());
            return 0;
        }
        catch (Exception error)
        {
            Console.Error.WriteLine(error.GetBaseException().Message);
            return 1;
        }
    }

    private static async Task<string> Call()
    {
        string secret = Environment.GetEnvironmentVariable("{{ call.secret }}");
        if (string.IsNullOrEmpty(secret))
        {
            throw new InvalidOperationException("{{ call.secret }} is not set");
        }
        var fields = new Dictionary<string, string>
        {
{%- if !call.soap %}
            { "class", "chat" },
            { "method", "{{ call.method }}" },
{%- endif %}
{%- if call.http || call.soap %}
            { "user", {{ call.user }} },
            { "password", secret },
{%- endif %}
{%- for field in call.fields %}
            { "{{ field.name }}", {{ field.value }} },
{%- endfor %}
{%- if call.send %}
            // Use one key per message: a retry with the same key never sends the message twice.
            { "idempotency_key", Guid.NewGuid().ToString() },
{%- endif %}
        };
{%- if call.soap %}
        XNamespace soap = "http://schemas.xmlsoap.org/soap/envelope/";
        XNamespace chat = "urn:chatgate:chat:v1";
        var call = new XElement(chat + "{{ call.method }}");
        foreach (var field in fields)
        {
            call.Add(new XElement(chat + field.Key, field.Value));
        }
        var envelope = new XElement(soap + "Envelope", new XElement(soap + "Body", call));
        // Entitize, because a bare carriage return would arrive as a line feed.
        var settings = new XmlWriterSettings { Encoding = new UTF8Encoding(false), NewLineHandling = NewLineHandling.Entitize };
        var bytes = new MemoryStream();
        using (var writer = XmlWriter.Create(bytes, settings))
        {
            envelope.Save(writer);
        }
        var content = new ByteArrayContent(bytes.ToArray());
        content.Headers.ContentType = MediaTypeHeaderValue.Parse("text/xml; charset=utf-8");
        string answer = await Post({{ call.url }}, content);
        XElement response = XElement.Parse(answer);
        // The code is in the detail of a fault.
        foreach (var code in response.Descendants(chat + "code"))
        {
            throw new InvalidOperationException(code.Value);
        }
        foreach (var found in response.Descendants(chat + "{{ call.method }}Response"))
        {
            return found.ToString();
        }
        throw new InvalidOperationException("not an answer of the chat API: " + answer);
    }
{%- else %}
{%- if call.jwt %}
        string token = await Post({{ call.token_url }}, new FormUrlEncodedContent(new Dictionary<string, string>
        {
            { "grant_type", "client_credentials" },
            { "client_id", {{ call.client_id }} },
            { "client_secret", secret },
            { "scope", "{{ call.method }}" },
        }));
        if (Member(token, "access_token") == null)
        {
            throw new InvalidOperationException("no token: " + Member(token, "error"));
        }
        Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", Member(token, "access_token"));
{%- endif %}
{%- if call.basic %}
        string login = Convert.ToBase64String(Encoding.UTF8.GetBytes({{ call.user }} + ":" + secret));
        Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Basic", login);
{%- endif %}
        string answer = await Post({{ call.url }}, new FormUrlEncodedContent(fields));
        // An error may have HTTP status 200, so check the status in the response.
        if (Member(answer, "status") != "SUCCESS")
        {
            throw new InvalidOperationException(Member(answer, "error") ?? "not an answer of the chat API: " + answer);
        }
        return answer;
    }

    /// <summary>Returns a member of a JSON object, with classes that every .NET has.</summary>
    private static string Member(string json, string name)
    {
        var reader = JsonReaderWriterFactory.CreateJsonReader(Encoding.UTF8.GetBytes(json), XmlDictionaryReaderQuotas.Max);
        return (string)XElement.Load(reader).Element(name);
    }
{%- endif %}

    private static async Task<string> Post(string url, HttpContent content)
    {
        using (HttpResponseMessage response = await Client.PostAsync(url, content))
        {
            return Encoding.UTF8.GetString(await response.Content.ReadAsByteArrayAsync());
        }
    }
}
