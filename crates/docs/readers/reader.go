// Reads events as they happen. After an interruption it resumes after the last event that it handled. Go 1.19 or later.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// The stream sends at least a heartbeat every 15 seconds.
const silence = 45 * time.Second

var (
	cursorFile = "cursor.txt"
	retry      = 3 * time.Second
)

// Put your own code here. After an interruption an event may arrive twice, with the same id.
func handle(event json.RawMessage) {
	fmt.Println(string(event))
}

func saved() string {
	cursor, err := os.ReadFile(cursorFile)
	if err != nil || len(cursor) == 0 {
		return "now"
	}
	return strings.TrimSpace(string(cursor))
}

// Saves the cursor in two steps, so that a crash leaves either the old or the new cursor.
func save(cursor string) error {
	if err := os.WriteFile(cursorFile+".new", []byte(cursor), 0o600); err != nil {
		return err
	}
	return os.Rename(cursorFile+".new", cursorFile)
}

func frame(fields map[string]string) error {
	if ms, err := strconv.Atoi(fields["retry"]); err == nil {
		retry = time.Duration(ms) * time.Millisecond
	}
	if data, ok := fields["data"]; ok && fields["event"] == "" {
		handle(json.RawMessage(data))
	} else if ok {
		fmt.Fprintln(os.Stderr, fields["event"], data) // reset, busy, bye
	}
	// Save the cursor only after the event is handled. Otherwise a crash in between would lose the event.
	if id := fields["id"]; id != "" {
		return save(id)
	}
	return nil
}

func read() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	timer := time.AfterFunc(silence, cancel)
	defer timer.Stop()
	url := os.Getenv("CHATGATE_URL") + "/api/events?cursor=" + saved()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.SetBasicAuth(os.Getenv("CHATGATE_USER"), os.Getenv("CHATGATE_PASSWORD"))
	request.Header.Set("Accept", "text/event-stream")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(answer.Body)
		// The request itself is wrong, so a retry would fail too. All other errors are temporary.
		if answer.StatusCode < 500 && answer.StatusCode != http.StatusTooManyRequests {
			fmt.Fprintln(os.Stderr, string(text))
			os.Exit(1)
		}
		return fmt.Errorf("%s: %s", answer.Status, text)
	}
	lines := bufio.NewReader(answer.Body)
	fields := map[string]string{}
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		timer.Reset(silence)
		if line = strings.TrimSuffix(line, "\n"); line != "" {
			name, value, _ := strings.Cut(line, ":")
			fields[name] = strings.TrimPrefix(value, " ")
			continue
		}
		if err := frame(fields); err != nil {
			return err
		}
		fields = map[string]string{}
	}
}

func main() {
	if file := os.Getenv("CURSOR_FILE"); file != "" {
		cursorFile = file
	}
	for {
		fmt.Fprintln(os.Stderr, read())
		time.Sleep(retry)
	}
}
