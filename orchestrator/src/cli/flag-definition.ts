// The shape of a flag as the command line understands it. Task flags come from @slip/config in the same shape.
export interface FlagDefinition {
  /** Kebab-case, without dashes. */
  readonly name: string;
  readonly alias?: readonly string[];
  readonly type: 'string' | 'number' | 'boolean' | 'array';
  readonly description: string;
  readonly default?: unknown;
  /** Arrays: may be given several times, each time with one value, which adds up. */
  readonly repeatable?: boolean;
  /** Title under which the help page lists it. */
  readonly group?: string;
  /** Accepted, but on no help page. */
  readonly hidden?: boolean;
}
