import type { Node } from '../model/node.ts';
import type { CompiledPolicy } from '../model/policy.ts';
import { isControlPlane, typeOf } from '../model/view.ts';
import { cuda, driver, jetpack, typeFacts } from './accelerator.ts';
import { capacity } from './capacity.ts';
import type { Fact, Judge } from './fact.ts';
import { address, dnsName, nodeType, operatorUntainted } from './identity.ts';
import type { ConformanceSettings } from './settings.ts';
import { architecture, containerRuntime, kubernetesVersion, osImage } from './versions.ts';

const judges: readonly Judge[] = [
  kubernetesVersion,
  architecture,
  containerRuntime,
  osImage,
  capacity,
  nodeType,
  typeFacts,
  address,
  dnsName,
  driver,
  cuda,
  jetpack,
  operatorUntainted,
];

/**
 * Every requirement of the guide that a Node object can show, held against one node. Pure: the four readers (registration, later
 * change, watch reports, the review table) share it.
 * @param previous the last Node of that name that was known, for facts about change.
 */
export function factsOf(
  node: Node,
  policy: CompiledPolicy,
  settings: ConformanceSettings,
  previous?: Node,
): readonly Fact[] {
  const input = {
    node,
    type: typeOf(node, policy),
    controlPlane: isControlPlane(node, policy),
    policy,
    settings,
    previous,
  };
  return judges.flatMap((judge) => judge(input));
}
