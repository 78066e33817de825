// Macros for WebAssembly text: `(macro $name (param $a) ... body)` at the top of a module, used as `($name x ...)`. Engines do not
// inline functions, and a call costs more than what small helpers do.
import { invariant } from './errors.js';

type Node = string | readonly Node[];

interface Macro {
  readonly params: readonly string[];
  readonly body: Node;
}

/** The same module without macros. */
export function expandMacros(wat: string): string {
  const [module] = parse(wat);
  invariant(typeof module !== 'string', 'a module is a list');
  const macros = new Map<string, Macro>();
  const rest = module.filter((node) => {
    if (typeof node === 'string' || node[0] !== 'macro') return true;
    const params = node.slice(2, -1).map((param) => param[1] as string);
    macros.set(node[1] as string, { params, body: node[node.length - 1] });
    return false;
  });
  return print(rest.map((node) => expand(node, macros)));
}

function expand(node: Node, macros: ReadonlyMap<string, Macro>): Node {
  if (typeof node === 'string') return node;
  if (node.length === 0) return node;
  const [head, ...rest] = node.map((part) => expand(part, macros));
  const macro = typeof head === 'string' ? macros.get(head) : undefined;
  if (macro === undefined) return [head, ...rest];
  const { params, body } = macro;
  invariant(rest.length === params.length, `${head} has ${params.length} parameters, not ${rest.length}`);
  return expand(replace(body, new Map(params.map((param, i) => [param, rest[i]]))), macros);
}

function replace(node: Node, values: ReadonlyMap<string, Node>): Node {
  if (typeof node === 'string') return values.get(node) ?? node;
  return node.map((part) => replace(part, values));
}

function parse(text: string): Node[] {
  const stack: Node[][] = [[]];
  for (const [token] of text.replace(/;;.*/g, '').matchAll(/[()]|"[^"]*"|[^\s()]+/g)) {
    if (token === '(') stack.push([]);
    else if (token === ')') {
      const list = stack.pop()!;
      invariant(stack.length > 0, 'a closing bracket too many');
      stack[stack.length - 1].push(list);
    } else stack[stack.length - 1].push(token);
  }
  invariant(stack.length === 1, `${stack.length - 1} brackets are not closed`);
  return stack[0];
}

function print(node: Node): string {
  return typeof node === 'string' ? node : `(${node.map(print).join(' ')})`;
}
