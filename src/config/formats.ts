import { endOfDay } from '../policy/exemptions.ts';
import { isDns1123Label, isDns1123Subdomain, isLabelValue, isQualifiedName } from '../policy/kube/names.ts';
import { parseQuantity } from '../policy/kube/quantity.ts';
import { parseVersion } from '../policy/kube/version.ts';

export interface Format {
  readonly test: (text: string) => boolean;
  /** What to write instead; ends a message. */
  readonly hint: string;
}

/** The string formats of the policy file's schema. */
export const formats: Readonly<Record<string, Format>> = {
  version: { test: (text) => parseVersion(text) !== undefined, hint: 'write a version such as "1.30.0"' },
  // Kubernetes reads a suffix alone ("G") as zero; in a policy it is a slip.
  quantity: {
    test: (text) => /\d/.test(text) && parseQuantity(text) !== undefined,
    hint: 'write a quantity such as "4", "8G" or "50Gi"',
  },
  percentage: {
    test: (text) => /^(100|[0-9]{1,2})(\.[0-9]{1,3})?%$/.test(text),
    hint: 'write a percentage such as "5%"',
  },
  labelKey: { test: isQualifiedName, hint: 'write a label key such as node-type or example.com/name' },
  labelKeyOrEmpty: {
    test: (text) => text === '' || isQualifiedName(text),
    hint: 'write a label key such as example.com/name, or "" for none',
  },
  labelValue: { test: isLabelValue, hint: 'write a label value: at most 63 letters, digits, "-", "_" or "."' },
  dnsLabel: {
    test: isDns1123Label,
    hint: 'write a name of lower case letters, digits and "-"; globs are not known here',
  },
  dnsSubdomain: {
    test: isDns1123Subdomain,
    hint: 'write a name of lower case letters, digits, "-" and "."; globs are not known here',
  },
  day: { test: (text) => !Number.isNaN(endOfDay(text)), hint: 'write a day that exists as "2027-01-31"' },
};
