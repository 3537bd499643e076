import { type Labels, label } from './kube/labels.ts';
import type { Edit } from './model/edit.ts';
import { type Node, verifiedAnnotation } from './model/node.ts';
import type { Binding } from './model/placement.ts';
import type { Subject } from './model/request.ts';
import { applyEdits } from './placement/place.ts';

/** A subject as edits leave it: each rule that mutates judges what the ones before it have made of the object. */
export function withEdits(subject: Subject, edits: readonly Edit[]): Subject {
  if (edits.length === 0) return subject;
  if (subject.kind === 'node') return { ...subject, node: editNode(subject.node, edits) };
  if (subject.kind === 'binding') return { ...subject, binding: editBinding(subject.binding, edits) };
  const { pod } = subject;
  return {
    ...subject,
    pod: {
      ...pod,
      labels: editMap(pod.labels, edits, 'setLabel', 'removeLabel'),
      annotations: editMap(pod.annotations, edits, 'setAnnotation', 'removeAnnotation'),
      placement: applyEdits(pod.placement, edits),
    },
  };
}

function editBinding(binding: Binding, edits: readonly Edit[]): Binding {
  return {
    ...binding,
    labels: editMap(binding.labels, edits, 'setLabel', 'removeLabel'),
    annotations: editMap(binding.annotations, edits, 'setAnnotation', 'removeAnnotation'),
  };
}

function editNode(node: Node, edits: readonly Edit[]): Node {
  const verified = node.verified === undefined ? {} : { [verifiedAnnotation]: node.verified };
  return {
    ...node,
    labels: editMap(node.labels, edits, 'setLabel', 'removeLabel'),
    verified: label(editMap(verified, edits, 'setAnnotation', 'removeAnnotation'), verifiedAnnotation),
    taints: [...node.taints, ...edits.flatMap((edit) => (edit.edit === 'addTaint' ? [edit.taint] : []))],
  };
}

function editMap(
  map: Labels,
  edits: readonly Edit[],
  set: 'setLabel' | 'setAnnotation',
  remove: 'removeLabel' | 'removeAnnotation',
): Labels {
  let result: Record<string, string> | undefined;
  for (const edit of edits) {
    if (edit.edit !== set && edit.edit !== remove) continue;
    result ??= { ...map };
    if (edit.edit === set) result[edit.key] = edit.value;
    else delete result[edit.key];
  }
  return result ?? map;
}
