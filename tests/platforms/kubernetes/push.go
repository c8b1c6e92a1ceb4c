package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
)

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar"
)

type blob struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

// Puts images of one layer into a registry that speaks plain HTTP: `push REGISTRY [NAME:TAG ROOT.TAR CONFIG]...`, where
// CONFIG is the text of an image's `config`: {"Env": ["PATH=/bin"], "Cmd": ["/bin/web"]}.
func push(arguments []string) error {
	if len(arguments)%3 != 1 {
		return fmt.Errorf("push REGISTRY [NAME:TAG ROOT.TAR CONFIG]...")
	}
	registry, images := arguments[0], arguments[1:]
	for ; len(images) > 0; images = images[3:] {
		name, tag, tagged := strings.Cut(images[0], ":")
		if !tagged {
			return fmt.Errorf("%s has no tag", images[0])
		}
		if err := pushOne("http://"+registry+"/v2/"+name, tag, images[1], images[2]); err != nil {
			return fmt.Errorf("%s/%s: %w", registry, images[0], err)
		}
	}
	return nil
}

func pushOne(repository, tag, archive, configuration string) error {
	root, err := os.ReadFile(archive)
	if err != nil {
		return err
	}
	layer, err := pushBlob(repository, layerType, root)
	if err != nil {
		return err
	}
	image, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": json.RawMessage(configuration),
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{layer.Digest}},
	})
	if err != nil {
		return err
	}
	config, err := pushBlob(repository, configType, image)
	if err != nil {
		return err
	}
	manifest, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": manifestType, "config": config, "layers": []blob{layer}})
	if err != nil {
		return err
	}
	_, err = send(http.MethodPut, repository+"/manifests/"+tag, manifestType, manifest)
	return err
}

func pushBlob(repository, mediaType string, contents []byte) (blob, error) {
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(contents))
	place, err := send(http.MethodPost, repository+"/blobs/uploads/", "", nil)
	if err != nil {
		return blob{}, err
	}
	query := place.Query()
	query.Set("digest", digest)
	place.RawQuery = query.Encode()
	_, err = send(http.MethodPut, place.String(), "application/octet-stream", contents)
	return blob{mediaType, digest, len(contents)}, err
}

// Returns where the registry says that it goes on.
func send(method, address, contentType string, body []byte) (*url.URL, error) {
	request, err := http.NewRequest(method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", contentType)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		answer, _ := io.ReadAll(response.Body)
		return nil, fmt.Errorf("%s %s: %s: %s", method, address, response.Status, answer)
	}
	place, err := response.Location()
	if err == http.ErrNoLocation {
		return nil, nil
	}
	return place, err
}
