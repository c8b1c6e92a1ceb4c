package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	kubectl "k8s.io/kubectl/pkg/cmd"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
)

// One kubectl command, a line of JSON on the standard input.
type command struct {
	ID        int      `json:"id"`
	Arguments []string `json:"arguments"`
}

// The end of a command, a line of JSON on the standard output. Commands end in any order.
type ended struct {
	ID   int    `json:"id"`
	Code int    `json:"code"`
	Out  string `json:"out"`
	Err  string `json:"err"`
}

// kubectl ends its process with these where a command fails.
type fatal struct {
	message string
	code    int
}

// commands runs kubectl commands in this process until the standard input ends. A kubectl that starts spends most of its time
// on its own start, and tests call it thousands of times.
func commands() error {
	cmdutil.BehaviorOnFatal(func(message string, code int) { panic(fatal{message, code}) })
	var output sync.Mutex
	encoder := json.NewEncoder(os.Stdout)
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var next command
		if err := json.Unmarshal(line, &next); err != nil {
			return fmt.Errorf("%q is no command: %w", line, err)
		}
		go func() {
			end := execute(next)
			output.Lock()
			defer output.Unlock()
			if err := encoder.Encode(end); err != nil {
				fail(err)
			}
		}()
	}
}

// The tree of commands is made of flags that are variables of packages, and so one at a time.
var tree sync.Mutex

func execute(next command) (end ended) {
	var out, errors bytes.Buffer
	defer func() {
		if stopped := recover(); stopped != nil {
			why, isFatal := stopped.(fatal)
			if !isFatal {
				panic(stopped)
			}
			end.Code = why.code
			if why.message != "" {
				fmt.Fprintln(&errors, strings.TrimSuffix(why.message, "\n"))
			}
		}
		end.ID, end.Out, end.Err = next.ID, out.String(), errors.String()
	}()
	streams := genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errors}
	tree.Lock()
	flags := genericclioptions.NewConfigFlags(true).WithDeprecatedPasswordFlag().WithDiscoveryBurst(300).WithDiscoveryQPS(50)
	root := kubectl.NewKubectlCommand(kubectl.KubectlOptions{ConfigFlags: flags.WithWarningPrinter(streams), IOStreams: streams})
	tree.Unlock()
	root.SetArgs(next.Arguments)
	root.SetOut(&out)
	root.SetErr(&errors)
	root.SilenceErrors, root.SilenceUsage = true, true
	cmdutil.CheckErr(root.Execute())
	return end
}
