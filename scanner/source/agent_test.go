package source

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coldcheck/coldcheck/internal/buildinfo"
	"github.com/coldcheck/coldcheck/internal/remotetest"
)

// agents are the names with which requests introduce the program.
type agents struct {
	mu   sync.Mutex
	list []string
}

func (a *agents) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	a.list = append(a.list, r.Header.Get("User-Agent"))
	a.mu.Unlock()
	return http.DefaultTransport.RoundTrip(r)
}

// TestUserAgent: every request names the program and its version, those of the AWS SDK in
// addition to the SDK's own name.
func TestUserAgent(t *testing.T) {
	t.Parallel()
	content := []byte(strings.Repeat("content", 1000))
	web, s3, ebs := remotetest.HTTP(t), remotetest.S3(t), remotetest.EBS(t)
	web.Put("file", content)
	s3.Put(t, "key", content)
	ebs.Add("snap-1", strings.NewReader(string(content)), int64(len(content)))
	for _, tt := range []struct {
		name    string
		options Options
		sdk     bool
	}{
		{web.URL + "/file", quick(), false},
		{"s3://" + remotetest.Bucket + "/key", awsOptions(&s3.Server), true},
		{"ebs:snap-1", awsOptions(&ebs.Server), true},
	} {
		var sent agents
		tt.options.Transport = &sent
		s := mustOpen(t, tt.name, tt.options)
		if _, err := s.ReadAt(make([]byte, 100), 0); err != nil {
			t.Error(err)
		}
		if len(sent.list) == 0 {
			t.Errorf("%s: no request", tt.name)
		}
		for _, agent := range sent.list {
			words := strings.Fields(agent)
			if !slices.Contains(words, buildinfo.UserAgent()) || tt.sdk != strings.HasPrefix(agent, "aws-sdk-go-v2/") {
				t.Errorf("%s: %q", tt.name, agent)
			}
		}
	}
}
