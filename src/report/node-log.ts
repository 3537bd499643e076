import { type Line, object, objects, text } from '../audit/read/entry.ts';
import { field } from '../policy/model/read.ts';

/** What the log last said of a node. */
export interface LoggedNode {
  readonly node: string;
  readonly time: string;
  readonly verb: string;
  readonly decision: string;
  /** Reason of the exemption that counted; empty for none. */
  readonly exempt: string;
  readonly findings: readonly LoggedFinding[];
  /** Decisions about it in which something was found. */
  readonly found: number;
}

export interface LoggedFinding {
  readonly rule: string;
  readonly reason: string;
  readonly enforcement: string;
  readonly message: string;
}

export interface NodeLog {
  add(line: Line): void;
  /** By name. */
  nodes(): readonly LoggedNode[];
}

/** More nodes are passed over: their number must not fill the memory. */
const maxNodes = 10_000;

/** Keeps of each node the last review that judged what it is: a change that concerns another rule says nothing of it. */
export function createNodeLog(rule: string): NodeLog {
  const nodes = new Map<string, LoggedNode>();
  return {
    add({ header, value }) {
      const ref = object(value, 'objectRef');
      if (header.kind !== 'AdmissionRecord' || text(ref, 'resource') !== 'nodes') return;
      if (text(value, 'phase') !== 'validate' || field(value, 'dryRun') === true) return;
      const node = text(ref, 'name');
      const known = nodes.get(node);
      if (known === undefined && nodes.size >= maxNodes) return;
      const findings = objects(value, 'findings').map((finding) => ({
        rule: text(finding, 'rule'),
        reason: text(finding, 'reason'),
        enforcement: text(finding, 'enforcement'),
        message: text(finding, 'message'),
      }));
      const found = (known?.found ?? 0) + (findings.length > 0 ? 1 : 0);
      const rules: unknown = field(value, 'rules');
      const isJudged = Array.isArray(rules) && rules.includes(rule);
      const exemption = objects(value, 'exemptions').find((entry) => {
        const exempted: unknown = field(entry, 'rules');
        return Array.isArray(exempted) && exempted.includes(rule);
      });
      if (known !== undefined && ((!isJudged && exemption === undefined) || header.time < known.time)) {
        nodes.set(node, { ...known, found });
        return;
      }
      nodes.set(node, {
        ...{ node, time: header.time, verb: text(value, 'verb'), decision: text(value, 'decision') },
        ...{ exempt: exemption === undefined ? '' : text(exemption, 'reason'), found },
        findings: findings.filter((finding) => finding.rule === rule),
      });
    },
    nodes: () => [...nodes.values()].sort((a, b) => (a.node < b.node ? -1 : 1)),
  };
}
