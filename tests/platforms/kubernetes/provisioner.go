package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	provisionerName = "stratos.test/hostpath"
	provisionedBy   = "pv.kubernetes.io/provisioned-by"
	wantedFrom      = "volume.kubernetes.io/storage-provisioner"
)

// Makes volumes that are folders of this machine: `provisioner KUBECONFIG FOLDER`. Claims name it as `storageClassName:
// standard`, which is the default.
func provision(arguments []string) error {
	if len(arguments) != 2 {
		return fmt.Errorf("provisioner KUBECONFIG FOLDER")
	}
	folder := arguments[1]
	client, err := connect(arguments[0])
	if err != nil {
		return err
	}
	// Looking is cheap, and a watch that missed something would be a test that fails now and then.
	for ; ; time.Sleep(250 * time.Millisecond) {
		if err := provisionOnce(client, folder); err != nil {
			// The API server may be away: a test killed it.
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

func connect(kubeconfig string) (*kubernetes.Clientset, error) {
	settings, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(settings)
}

func provisionOnce(client *kubernetes.Clientset, folder string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// What the server has at hand will do: a claim that is found a moment later is found.
	cached := meta.ListOptions{ResourceVersion: "0"}
	claims, err := client.CoreV1().PersistentVolumeClaims("").List(ctx, cached)
	if err != nil {
		return err
	}
	for _, claim := range claims.Items {
		if claim.Spec.VolumeName == "" && claim.DeletionTimestamp == nil && claim.Annotations[wantedFrom] == provisionerName {
			if err := create(ctx, client, folder, &claim); err != nil {
				return err
			}
		}
	}
	volumes, err := client.CoreV1().PersistentVolumes().List(ctx, cached)
	if err != nil {
		return err
	}
	for _, volume := range volumes.Items {
		released := volume.Status.Phase == core.VolumeReleased && volume.Spec.PersistentVolumeReclaimPolicy == core.PersistentVolumeReclaimDelete
		if released && volume.DeletionTimestamp == nil && volume.Annotations[provisionedBy] == provisionerName {
			if err := os.RemoveAll(volume.Spec.HostPath.Path); err != nil {
				return err
			}
			if err := client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, meta.DeleteOptions{}); err != nil && !errors.IsNotFound(err) {
				return err
			}
		}
	}
	return nil
}

func create(ctx context.Context, client *kubernetes.Clientset, folder string, claim *core.PersistentVolumeClaim) error {
	name := "pvc-" + string(claim.UID)
	path := filepath.Join(folder, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	// A pod may run as any user.
	if err := os.Chmod(path, 0o777); err != nil {
		return err
	}
	volume := core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: name, Annotations: map[string]string{provisionedBy: provisionerName}},
		Spec: core.PersistentVolumeSpec{
			Capacity:                      core.ResourceList{core.ResourceStorage: claim.Spec.Resources.Requests[core.ResourceStorage]},
			AccessModes:                   claim.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: core.PersistentVolumeReclaimDelete,
			StorageClassName:              *claim.Spec.StorageClassName,
			PersistentVolumeSource:        core.PersistentVolumeSource{HostPath: &core.HostPathVolumeSource{Path: path}},
			ClaimRef: &core.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace,
				Name: claim.Name, UID: claim.UID, ResourceVersion: claim.ResourceVersion},
		},
	}
	if _, err := client.CoreV1().PersistentVolumes().Create(ctx, &volume, meta.CreateOptions{}); err != nil && !errors.IsAlreadyExists(err) {
		return err
	}
	return nil
}
