// Applies a key map to the tensors of a file, from their names to ours or back. Knows the form of the tables, not their
// contents.
import { SlipError } from '@slip/core';
import { renamed, type StoredTensor } from '../stored-tensor.js';
import type { Change, KeyMap, KeyRule } from './key-rules.js';
import { joined, reshaped, split, transposed } from './rearrange.js';

export interface MappedTensors {
  readonly tensors: readonly StoredTensor[];
  /** Names that were left out, each with the reason. */
  readonly left: readonly { readonly name: string; readonly why: string }[];
}

/**
 * Their tensors under our names.
 * @throws SlipError `unsupported` naming the tensors that the map does not know
 */
export function toOurs(file: string, map: KeyMap, tensors: readonly StoredTensor[]): MappedTensors {
  const found: StoredTensor[] = [];
  const left: { name: string; why: string }[] = [];
  const unknown: string[] = [];
  const parts = new Map<string, (StoredTensor | undefined)[]>();
  for (const tensor of tensors) {
    const ignored = map.ignored.find(({ theirs }) => match(theirs, tensor.name) !== undefined);
    const hit = findRule(map.rules, tensor.name);
    if (ignored !== undefined) left.push({ name: tensor.name, why: ignored.why });
    else if (hit === undefined) unknown.push(tensor.name);
    else if (hit.part === undefined) found.push(changed(file, renamed(tensor, hit.ours), hit.rule.change));
    else {
      const slots = parts.get(hit.ours) ?? [undefined, undefined, undefined];
      slots[hit.part] = tensor;
      parts.set(hit.ours, slots);
    }
  }
  if (unknown.length > 0) throw unknownTensors(file, map, unknown);
  for (const [name, slots] of parts) found.push(joinParts(file, name, slots));
  return { tensors: found, left };
}

/**
 * Our tensors under their names; those that the format has no place for are left out and named.
 */
export function toTheirs(map: KeyMap, tensors: readonly StoredTensor[]): MappedTensors {
  const found: StoredTensor[] = [];
  const left: { name: string; why: string }[] = [];
  for (const tensor of tensors) {
    const hit = map.rules
      .map((rule) => ({ rule, parts: match(rule.ours, tensor.name) }))
      .find(({ parts }) => parts !== undefined);
    if (hit?.parts === undefined) {
      left.push({ name: tensor.name, why: `${map.title} has no place for it` });
      continue;
    }
    const { theirs, change } = hit.rule;
    const { parts } = hit;
    if (typeof theirs === 'string') found.push(changedBack(renamed(tensor, fill(theirs, parts)), change));
    else
      found.push(
        ...split(
          tensor,
          theirs.map((name) => fill(name, parts)),
        ),
      );
  }
  return { tensors: found, left };
}

type Parts = Readonly<Record<string, string>>;

function findRule(rules: readonly KeyRule[], name: string): { rule: KeyRule; ours: string; part?: number } | undefined {
  for (const rule of rules) {
    if (typeof rule.theirs === 'string') {
      const parts = match(rule.theirs, name);
      if (parts !== undefined) return { rule, ours: fill(rule.ours, parts) };
      continue;
    }
    for (const [part, pattern] of rule.theirs.entries()) {
      const parts = match(pattern, name);
      if (parts !== undefined) return { rule, ours: fill(rule.ours, parts), part };
    }
  }
  return undefined;
}

const PLACEHOLDERS: Readonly<Record<string, string>> = {
  i: '(?<i>\\d{1,4})',
  w: '(?<w>weight|bias)',
  rest: '(?<rest>.+)',
};
const compiled = new Map<string, RegExp>();

function match(pattern: string, name: string): Parts | undefined {
  let expression = compiled.get(pattern);
  if (expression === undefined) {
    const source = pattern.replaceAll('.', '\\.').replace(/\{(\w+)\}/g, (_, key: string) => PLACEHOLDERS[key]);
    expression = new RegExp(`^${source}$`);
    compiled.set(pattern, expression);
  }
  const found = expression.exec(name);
  return found === null ? undefined : { ...found.groups };
}

function fill(pattern: string, parts: Parts): string {
  return pattern.replace(/\{(\w+)\}/g, (_, key: string) => parts[key]);
}

function changed(file: string, tensor: StoredTensor, change: Change | undefined): StoredTensor {
  const axes = { transpose: 2, 'add-axis': 2, 'add-two-axes': 1 } as const;
  if (change === undefined) return tensor;
  if (tensor.shape.length !== axes[change]) {
    throw new SlipError(
      'checkpoint',
      `${file}: ${tensor.name} has the shape [${tensor.shape}], ${axes[change]} axes were expected`,
    );
  }
  if (change === 'transpose') return transposed(tensor);
  return reshaped(tensor, change === 'add-axis' ? [1, ...tensor.shape] : [1, 1, ...tensor.shape]);
}

function changedBack(tensor: StoredTensor, change: Change | undefined): StoredTensor {
  if (change === undefined) return tensor;
  if (change === 'transpose') return transposed(tensor);
  return reshaped(tensor, tensor.shape.slice(change === 'add-axis' ? 1 : 2));
}

function joinParts(file: string, name: string, slots: readonly (StoredTensor | undefined)[]): StoredTensor {
  const parts = slots.filter((slot) => slot !== undefined);
  const [first] = parts;
  const alike = parts.every(({ dtype, shape }) => dtype === first.dtype && `${shape}` === `${first.shape}`);
  if (parts.length !== 3 || !alike || first.shape.length === 0) {
    throw new SlipError('checkpoint', `${file}: query, key and value for ${name} are not three tensors of one shape`);
  }
  return joined(name, parts);
}

function unknownTensors(file: string, map: KeyMap, names: readonly string[]): SlipError {
  const shown = names.slice(0, 3).join(', ');
  return new SlipError(
    'unsupported',
    `${file} looks like ${map.title} but has ${names.length} tensors that such a model of ours has no place for: ${shown}` +
      `${names.length > 3 ? ', ...' : ''}; only OpenAI's ResNets, and vision transformers without layer scale or distillation, can be read`,
  );
}
