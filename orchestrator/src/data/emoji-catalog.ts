// Which emoji there are, what they are called, and which art style draws them: from packages, without any picture. Pure but
// for reading the packages.
import { createRequire } from 'node:module';

export interface Emoji {
  readonly hexcode: string;
  /** Its Unicode name, such as "grinning face". */
  readonly label: string;
  readonly tags: readonly string[];
  /** Key of its subgroup, such as "face-smiling". */
  readonly subgroup: string;
}

export interface ArtStyle {
  readonly name: string;
  readonly title: string;
  readonly author: string;
  readonly licence: string;
  readonly licenceUrl: string;
  /** The icon of an emoji as a whole SVG document, or undefined where the style lacks it. */
  svg(emoji: Emoji): string | undefined;
}

export const TRAINING_STYLES = ['noto', 'twemoji', 'openmoji'] as const;
export const HELD_OUT_STYLE = 'fluent-emoji';

interface IconSet {
  readonly width: number;
  readonly height: number;
  readonly icons: Readonly<
    Record<string, { body: string; width?: number; height?: number; left?: number; top?: number }>
  >;
  readonly aliases?: Readonly<Record<string, { parent: string; hFlip?: boolean }>>;
}
interface StyleInfo {
  readonly name: string;
  readonly author: { readonly name: string };
  readonly license: { readonly title: string; readonly url: string };
}

const require = createRequire(import.meta.url);
const load = <T>(file: string): T => require(file) as T;

/** Base emoji only: skin tones are nested in the list and left out, as are the components they are made of. */
export function listEmoji(): Emoji[] {
  const data =
    load<{ hexcode: string; label: string; tags?: string[]; subgroup?: number; group?: number }[]>(
      'emojibase-data/en/data.json',
    );
  const { subgroups, groups } = load<{ subgroups: Record<string, string>; groups: Record<string, string> }>(
    'emojibase-data/meta/groups.json',
  );
  return data
    .filter(({ group, subgroup }) => subgroup !== undefined && groups[String(group)] !== 'component')
    .map(({ hexcode, label, tags, subgroup }) => ({
      hexcode,
      label: label.toLowerCase(),
      tags: (tags ?? []).map((tag) => tag.toLowerCase()),
      subgroup: subgroups[String(subgroup)],
    }));
}

/** Opens an icon package; icons are found by character where it says so, else by the name that the other sets give. */
export function openStyle(name: string): ArtStyle {
  const set = load<IconSet>(`@iconify-json/${name}/icons.json`);
  const info = load<StyleInfo>(`@iconify-json/${name}/info.json`);
  const names = [name, ...TRAINING_STYLES].map((style) =>
    load<Record<string, string>>(`@iconify-json/${style}/chars.json`),
  );
  return {
    name,
    title: info.name,
    author: info.author.name,
    licence: info.license.title,
    licenceUrl: info.license.url,
    svg(emoji) {
      for (const table of names) {
        for (const code of codesOf(emoji)) {
          const icon = table[code] === undefined ? undefined : iconNamed(set, table[code]);
          if (icon !== undefined) return svgDocument(set, icon);
        }
      }
      return undefined;
    },
  };
}

/** With and without the variation selector, since the sets differ. */
function codesOf({ hexcode }: Emoji): string[] {
  const code = hexcode.toLowerCase();
  return [code, code.replaceAll('-fe0f', '')];
}

function iconNamed(set: IconSet, name: string) {
  const own = set.icons[name];
  if (own !== undefined) return own;
  const alias = set.aliases?.[name];
  const parent = alias === undefined ? undefined : set.icons[alias.parent];
  if (parent === undefined || alias?.hFlip !== true) return parent;
  // Mirrored about the middle of its view box: a hand that points left becomes one that points right.
  const axis = 2 * (parent.left ?? 0) + (parent.width ?? set.width);
  return { ...parent, body: `<g transform="translate(${axis} 0) scale(-1 1)">${parent.body}</g>` };
}

function svgDocument(set: IconSet, icon: NonNullable<ReturnType<typeof iconNamed>>): string {
  const { left = 0, top = 0, width = set.width, height = set.height } = icon;
  return (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ' +
    `width="${width}" height="${height}" viewBox="${left} ${top} ${width} ${height}">${icon.body}</svg>`
  );
}
