// Command scripted plays a script of operations by gophercloud: scripted URL... < SCRIPT.
//
// Its output is JSON: by URL, the ids that were kept, and what each step returned or failed with. It
// is not asked for what gophercloud has no call for.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imageimport"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/members"
)

const (
	patience = time.Second
	pause    = 50 * time.Millisecond
)

var ctx = context.Background()

// step is one operation; each has some of these fields.
type step struct {
	Op, Keep, Image, Data, Tag, Member, Status, Method string
	Attributes, Changes, Query                         map[string]any
	Remove                                             []string
}

type result map[string]any

type played struct {
	IDs     map[string]string `json:"ids"`
	Results []result          `json:"results"`
}

func main() {
	var script []step
	if err := json.NewDecoder(os.Stdin).Decode(&script); err != nil {
		log.Fatal(err)
	}
	var told []played
	for _, url := range os.Args[1:] {
		provider := &gophercloud.ProviderClient{}
		client := &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: url + "/v2/"}
		told = append(told, play(client, script))
	}
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		log.Fatal(err)
	}
}

func play(client *gophercloud.ServiceClient, script []step) played {
	ids := map[string]string{}
	fill := func(text string) string {
		if id, ok := ids[strings.Trim(text, "<>")]; ok && strings.HasPrefix(text, "<") {
			return id
		}
		return text
	}
	var results []result
	for _, step := range script {
		step.Image = fill(step.Image)
		if id, ok := step.Attributes["id"].(string); ok {
			step.Attributes["id"] = fill(id)
			defer func() { step.Attributes["id"] = id }() // for the next URL
		}
		run, ok := operations[step.Op]
		if !ok {
			results = append(results, result{"absent": true})
			continue
		}
		value, err := run(client, step)
		if err != nil {
			results = append(results, result{"raised": fmt.Sprintf("%T", err), "text": err.Error()})
			continue
		}
		if image, ok := value.(*images.Image); ok && step.Keep != "" {
			ids[step.Keep] = image.ID
		}
		results = append(results, result{"value": value})
	}
	return played{ids, results}
}

var operations = map[string]func(*gophercloud.ServiceClient, step) (any, error){
	"create": create,
	"update": update,
	"list":   list,
	"show": func(client *gophercloud.ServiceClient, s step) (any, error) {
		return images.Get(ctx, client, s.Image).Extract()
	},
	"delete": func(client *gophercloud.ServiceClient, s step) (any, error) {
		return nil, images.Delete(ctx, client, s.Image).ExtractErr()
	},
	"upload": func(client *gophercloud.ServiceClient, s step) (any, error) {
		return nil, imagedata.Upload(ctx, client, s.Image, strings.NewReader(s.Data)).ExtractErr()
	},
	"stage": func(client *gophercloud.ServiceClient, s step) (any, error) {
		return nil, imagedata.Stage(ctx, client, s.Image, strings.NewReader(s.Data)).ExtractErr()
	},
	"download": func(client *gophercloud.ServiceClient, s step) (any, error) {
		body, err := imagedata.Download(ctx, client, s.Image).Extract()
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(body)
		return string(data), err
	},
	"add_member": func(client *gophercloud.ServiceClient, s step) (any, error) {
		return members.Create(ctx, client, s.Image, s.Member).Extract()
	},
	"show_member": func(client *gophercloud.ServiceClient, s step) (any, error) {
		return members.Get(ctx, client, s.Image, s.Member).Extract()
	},
	"set_member": func(client *gophercloud.ServiceClient, s step) (any, error) {
		changes := members.UpdateOpts{Status: s.Status}
		return members.Update(ctx, client, s.Image, s.Member, changes).Extract()
	},
	"remove_member": func(client *gophercloud.ServiceClient, s step) (any, error) {
		return nil, members.Delete(ctx, client, s.Image, s.Member).ExtractErr()
	},
	"list_members": func(client *gophercloud.ServiceClient, s step) (any, error) {
		page, err := members.List(client, s.Image).AllPages(ctx)
		if err != nil {
			return nil, err
		}
		return members.ExtractMembers(page)
	},
	"import": func(client *gophercloud.ServiceClient, s step) (any, error) {
		method := imageimport.CreateOpts{Name: imageimport.ImportMethod(s.Method)}
		return nil, imageimport.Create(ctx, client, s.Image, method).ExtractErr()
	},
	"import_info": func(client *gophercloud.ServiceClient, _ step) (any, error) {
		return imageimport.Get(ctx, client).Extract()
	},
	"await_status": func(client *gophercloud.ServiceClient, s step) (any, error) {
		end := time.Now().Add(patience)
		for {
			time.Sleep(pause)
			image, err := images.Get(ctx, client, s.Image).Extract()
			if err != nil || string(image.Status) == s.Status || time.Now().After(end) {
				return image, err
			}
		}
	},
}

// attributes is what a create sends, as it is; it has more fields than images.CreateOpts.
type attributes map[string]any

func (a attributes) ToImageCreateMap() (map[string]any, error) { return a, nil }

func create(client *gophercloud.ServiceClient, s step) (any, error) {
	return images.Create(ctx, client, attributes(s.Attributes)).Extract()
}

// change is one operation of a JSON patch.
type change map[string]any

func (c change) ToImagePatchMap() map[string]any { return c }

var replaced = []string{
	"container_format", "disk_format", "min_disk", "min_ram", "name", "os_hidden", "protected",
	"visibility",
}

func update(client *gophercloud.ServiceClient, s step) (any, error) {
	var patch images.UpdateOpts
	for name, value := range s.Changes {
		op := "add"
		if slices.Contains(replaced, name) {
			op = "replace"
		}
		patch = append(patch, change{"op": op, "path": "/" + name, "value": value})
	}
	for _, name := range s.Remove {
		patch = append(patch, change{"op": "remove", "path": "/" + name})
	}
	return images.Update(ctx, client, s.Image, patch).Extract()
}

// query is what a list asks for, as it is.
type query map[string]any

func (q query) ToImageListQuery() (string, error) {
	var pairs []string
	for name, value := range q {
		pairs = append(pairs, fmt.Sprintf("%s=%v", name, value))
	}
	slices.Sort(pairs)
	return "?" + strings.Join(pairs, "&"), nil
}

func list(client *gophercloud.ServiceClient, s step) (any, error) {
	page, err := images.List(client, query(s.Query)).AllPages(ctx)
	if err != nil {
		return nil, err
	}
	found, err := images.ExtractImages(page)
	names := []string{}
	for _, image := range found {
		names = append(names, image.Name)
	}
	return names, err
}
