// Calls {{ call.method }} of the chat API by {{ call.way }}. Needs {{ call.secret }} in the environment.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
{%- if call.send %}

	"crypto/rand"
{%- endif %}
)

type answer struct {
	Status string `json:"status"`
	Error  string `json:"error"`
{%- if call.jwt %}
	Token  string `json:"access_token"`
{%- endif %}
}

func main() {
	secret := os.Getenv("{{ call.secret }}")
	if secret == "" {
		fail("{{ call.secret }} is not set")
	}
	fields := url.Values{}
	fields.Set("class", "chat")
	fields.Set("method", "{{ call.method }}")
{%- if call.http %}
	fields.Set("user", {{ call.user }})
	fields.Set("password", secret)
{%- endif %}
{%- for field in call.fields %}
	fields.Set("{{ field.name }}", {{ field.value }})
{%- endfor %}
{%- if call.send %}
	// Use one key per message: a retry with the same key never sends the message twice.
	key := make([]byte, 16)
	if _, err := rand.Read(key); err != nil {
		fail(err.Error())
	}
	fields.Set("idempotency_key", fmt.Sprintf("%x", key))
{%- endif %}
{%- if call.jwt %}
	login := url.Values{}
	login.Set("grant_type", "client_credentials")
	login.Set("client_id", {{ call.client_id }})
	login.Set("client_secret", secret)
	login.Set("scope", "{{ call.method }}")
	_, token := post({{ call.token_url }}, login, func(*http.Request) {})
	if token.Token == "" {
		fail("no token: " + token.Error)
	}
{%- endif %}
	body, result := post({{ call.url }}, fields, func(request *http.Request) {
{%- if call.basic %}
		request.SetBasicAuth({{ call.user }}, secret)
{%- endif %}
{%- if call.jwt %}
		request.Header.Set("Authorization", "Bearer "+token.Token)
{%- endif %}
	})
	// An error may have HTTP status 200, so check the status in the response.
	if result.Status != "SUCCESS" {
		fail(result.Error)
	}
	fmt.Println(body)
}

func post(address string, fields url.Values, authorize func(*http.Request)) (string, answer) {
	request, err := http.NewRequest("POST", address, strings.NewReader(fields.Encode()))
	if err != nil {
		fail(err.Error())
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	authorize(request)
	client := http.Client{Timeout: 30 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		fail("no answer: " + err.Error())
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		fail("no answer: " + err.Error())
	}
	var result answer
	if err := json.Unmarshal(body, &result); err != nil {
		fail("not an answer of the chat API: " + string(body))
	}
	return string(body), result
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(1)
}
