// Receives the events that a webhook of Chatgate sends. It uses only the standard library;
// github.com/standard-webhooks/standard-webhooks/libraries/go makes the same checks.
//
// WEBHOOK_SECRET=whsec_… PORT=8443 go run receiver.go
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// bodyMax is the maximum number of bytes that are read before the signature is verified. Bodies from Chatgate are shorter.
const bodyMax = 1 << 20

type event struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Data struct {
		Message string `json:"message"`
	} `json:"data"`
}

// verified reports whether the secret has signed these bytes within the last five minutes.
func verified(key []byte, header http.Header, body []byte) bool {
	timestamp, err := strconv.ParseInt(header.Get("webhook-timestamp"), 10, 64)
	age := time.Since(time.Unix(timestamp, 0))
	if err != nil || age > 5*time.Minute || age < -5*time.Minute {
		return false
	}
	signing := hmac.New(sha256.New, key)
	fmt.Fprintf(signing, "%s.%d.%s", header.Get("webhook-id"), timestamp, body)
	expected := signing.Sum(nil)
	// The header contains one signature for each valid secret.
	for _, signature := range strings.Fields(header.Get("webhook-signature")) {
		value := strings.TrimPrefix(signature, "v1,")
		signed, err := base64.StdEncoding.DecodeString(value)
		if value != signature && err == nil && hmac.Equal(signed, expected) {
			return true
		}
	}
	return false
}

func main() {
	secret := os.Getenv("WEBHOOK_SECRET")
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) == 0 || !strings.HasPrefix(secret, "whsec_") {
		panic("WEBHOOK_SECRET is not a secret") // with an empty key anybody could sign
	}
	var lock sync.Mutex
	handled := map[string]bool{} // store the ids in a database: an event may arrive more than once, always with the same id
	receive := func(response http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(response, request.Body, bodyMax))
		var event event
		if err != nil || !verified(key, request.Header, body) || json.Unmarshal(body, &event) != nil {
			response.WriteHeader(http.StatusBadRequest)
			return
		}
		lock.Lock()
		defer lock.Unlock()
		if !handled[event.ID] {
			fmt.Println(event.ID, event.Type, event.Data.Message) // if this fails and the response is not a 2xx, Chatgate sends the event again
			handled[event.ID] = true
		}
		response.WriteHeader(http.StatusNoContent)
	}
	// Put a TLS proxy in front, or use ServeTLS, because Chatgate sends by https only.
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		panic(err)
	}
	fmt.Println("listening", listener.Addr().(*net.TCPAddr).Port)
	panic(http.Serve(listener, http.HandlerFunc(receive)))
}
