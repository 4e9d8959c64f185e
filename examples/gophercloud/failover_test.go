// Package failover tests a client's failover, with gophercloud and Glance servers of the lab.
//
// `go test` runs it where `traced-image` is on PATH.
package failover

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
)

const timeout = 300 * time.Millisecond

// lab is where the servers and their control API listen: the line that traced-image prints.
var lab struct {
	Servers []string
	Control string
}

// Show asks one server after the other, until one answers: the code that is tested here.
func Show(ctx context.Context, servers []string, id string) (image *images.Image, err error) {
	for _, url := range servers {
		provider := &gophercloud.ProviderClient{HTTPClient: http.Client{Timeout: timeout}}
		client := &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: url + "/v2/"}
		image, err = images.Get(ctx, client, id).Extract()
		var refused gophercloud.ErrUnexpectedResponseCode
		if err == nil || errors.As(err, &refused) && refused.Actual < 500 {
			return image, err
		}
	}
	return nil, err
}

func TestMain(m *testing.M) {
	command := exec.Command("traced-image", "lab", "--port", "0", "--json", "--until-stdin-closes")
	command.Stderr = os.Stderr
	stdin, _ := command.StdinPipe() // the servers end when this program ends
	stdout, _ := command.StdoutPipe()
	if err := command.Start(); err != nil {
		log.Fatal(err)
	}
	if err := json.NewDecoder(stdout).Decode(&lab); err != nil {
		log.Fatal(err)
	}
	status := m.Run()
	stdin.Close()
	command.Wait()
	os.Exit(status)
}

// control sends a request to the control API, and reads its answer into a value.
func control(t *testing.T, method, path string, body, answer any) {
	t.Helper()
	sent, _ := json.Marshal(body)
	request, _ := http.NewRequest(method, lab.Control+path, bytes.NewReader(sent))
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	received, _ := io.ReadAll(reply.Body)
	if reply.StatusCode >= 400 {
		t.Fatalf("%s %s: %s", method, path, received)
	}
	if answer != nil {
		if err := json.Unmarshal(received, answer); err != nil {
			t.Fatal(err)
		}
	}
}

// add resets the servers, and adds an image to them.
func add(t *testing.T) string {
	var image struct{ ID string }
	control(t, "POST", "/reset", nil, nil)
	control(t, "POST", "/images", map[string]string{"name": "cirros", "data": "..."}, &image)
	return image.ID
}

func requests(t *testing.T, server string) int {
	var log struct{ Requests []struct{ Path string } }
	control(t, "GET", "/servers/"+server+"/requests", nil, &log)
	return len(log.Requests)
}

func TestTheNextServerAnswers(t *testing.T) {
	for _, fault := range []string{
		"refuse()", "reset()", "never_answer()", "status(503)", "lost_reply()",
	} {
		t.Run(fault, func(t *testing.T) {
			id := add(t)
			control(t, "PUT", "/servers/glance-1/fault", map[string]string{"fault": fault}, nil)
			image, err := Show(context.Background(), lab.Servers, id)
			if err != nil || image.Name != "cirros" || requests(t, "glance-2") != 1 {
				t.Errorf("%v, %v", image, err)
			}
		})
	}
}

func TestAMissingImageIsAskedForOnce(t *testing.T) {
	add(t)
	_, err := Show(context.Background(), lab.Servers, "no-such-image")
	if !gophercloud.ResponseCodeIs(err, 404) || requests(t, "glance-2") != 0 {
		t.Error(err)
	}
}

func TestTheLastFailureIsReturned(t *testing.T) {
	id := add(t)
	for _, name := range []string{"glance-1", "glance-2", "glance-3"} {
		control(t, "PUT", "/servers/"+name+"/fault", map[string]string{"fault": "refuse()"}, nil)
	}
	if image, err := Show(context.Background(), lab.Servers, id); err == nil {
		t.Error(image)
	}
}
