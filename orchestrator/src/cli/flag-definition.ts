export interface FlagDefinition {
  name: string;
  alias?: string[];
  type: 'string' | 'number' | 'boolean' | 'array';
  description: string;
  default?: unknown;
  group?: string;
  hidden?: boolean;
}
