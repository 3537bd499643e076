// Command oracle answers with Kubernetes' own scheduling helpers, so that the webhook's can be compared with them. It reads one JSON
// object a line from standard input and writes one answer a line.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/go-logr/logr"
	"gopkg.in/inf.v0"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// question has either a pod and a node, or a quantity.
type question struct {
	Pod      *v1.Pod  `json:"pod"`
	Node     *v1.Node `json:"node"`
	Quantity *string  `json:"quantity"`
}

type answer struct {
	// Selected: nodeSelector and required node affinity match the node (the scheduler's filter NodeAffinity).
	Selected bool `json:"selected"`
	// Tolerated, by taint of the node: some toleration of the pod tolerates it, with Lt and Gt on.
	Tolerated []bool `json:"tolerated"`
	// Nano-units of the quantity, rounded away from zero; nil for one that does not parse.
	Nano *string `json:"nano"`
	// Sign of the quantity: -1, 0 or 1.
	Sign int `json:"sign"`
}

func answerTo(q question) answer {
	var a answer
	if q.Quantity != nil {
		if parsed, err := resource.ParseQuantity(*q.Quantity); err == nil {
			a.Sign = parsed.Sign()
			nano := nanoUnits(parsed)
			a.Nano = &nano
		}
		return a
	}
	// A term that does not parse matches nothing, and only that term: the error adds nothing to the answer.
	a.Selected, _ = nodeaffinity.GetRequiredNodeAffinity(q.Pod).Match(q.Node)
	for i := range q.Node.Spec.Taints {
		tolerated := corev1.TolerationsTolerateTaint(logr.Discard(), q.Pod.Spec.Tolerations, &q.Node.Spec.Taints[i], true)
		a.Tolerated = append(a.Tolerated, tolerated)
	}
	return a
}

// nanoUnits is exact: a Quantity keeps nothing below a nano-unit. AsDec changes how the quantity is held, so it is taken by value.
func nanoUnits(quantity resource.Quantity) string {
	nano := new(inf.Dec).Mul(quantity.AsDec(), inf.NewDec(1_000_000_000, 0))
	return nano.Round(nano, 0, inf.RoundExact).String()
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	lines := json.NewDecoder(in)
	answers := json.NewEncoder(out)
	for lines.More() {
		var q question
		if err := lines.Decode(&q); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err := answers.Encode(answerTo(q)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
