// What is written about an emoji: captions for training, class texts for zero-shot classification. Pure.
import type { Emoji } from './emoji-catalog.js';

/** Captions with one `{}`, for the class texts. */
export const TEMPLATES: readonly string[] = ['{}', 'a picture of {}', 'an emoji of {}'];

/**
 * The captions of an emoji: its name, alone, in two sentences and among its tags, then each of its first tags by itself. The
 * name of the subgroup, which is what zero-shot classification asks for, is never added.
 */
export function captionsOf({ label, tags }: Emoji): string[] {
  const others = tags.filter((tag) => tag !== label);
  const captions = [label, `a picture of ${label}`, `an emoji of ${label}`];
  if (others.length > 0) captions.push(`${label}, ${others.slice(0, 4).join(', ')}`);
  for (const [i, tag] of others.slice(0, 4).entries()) captions.push(i % 2 === 0 ? tag : `a picture of ${tag}`);
  return captions;
}

/** Subgroup keys that read badly as they are. All others are their own words, most of them turned around. */
const CLASS_TEXTS: Readonly<Record<string, string | readonly string[]>> = {
  alphanum: ['letters in a square', 'button with letters'],
  'arts-crafts': ['arts and crafts', 'art'],
  'award-medal': ['medal', 'award'],
  'body-parts': ['part of the body', 'body'],
  'book-paper': ['book', 'paper'],
  'country-flag': ['flag of a country', 'flag'],
  drink: ['drink', 'beverage'],
  emotion: ['heart', 'emotion'],
  family: ['family', 'people holding hands'],
  geometric: ['geometric shape', 'square', 'circle'],
  'hand-fingers-closed': ['hand with closed fingers', 'fist'],
  'hand-fingers-open': ['open hand', 'hand with open fingers'],
  'hand-fingers-partial': ['hand sign with some fingers', 'finger gesture'],
  'hand-prop': ['hand holding something', 'writing hand'],
  'hand-single-finger': ['pointing finger', 'hand pointing with one finger'],
  household: ['household', 'furniture'],
  keycap: ['keycap', 'number key'],
  'light-video': ['light', 'video', 'camera'],
  lock: ['lock', 'key'],
  mail: ['mail', 'mailbox', 'envelope'],
  'av-symbol': ['audio and video button', 'play button'],
  'other-object': ['object'],
  'other-symbol': ['symbol'],
  'person-activity': ['person doing an activity', 'person walking'],
  'person-fantasy': ['fantasy person', 'fairy tale character'],
  'person-gesture': ['person making a gesture'],
  'person-resting': ['person resting', 'person in bed'],
  'person-role': ['person with a job', 'worker'],
  'person-sport': ['person doing sport', 'athlete'],
  'person-symbol': ['silhouette of people', 'symbol of a person'],
  'place-geographic': ['landscape', 'mountain'],
  'place-map': ['map', 'globe'],
  'place-other': ['place', 'city view'],
  'place-religious': ['religious building', 'place of worship'],
  science: ['science', 'laboratory'],
  'sky-weather': ['sky and weather', 'moon', 'weather'],
  time: ['clock', 'time'],
  'transport-air': ['air transport', 'aircraft'],
  'transport-ground': ['ground transport', 'vehicle'],
  'transport-sign': ['sign in an airport', 'public sign'],
  'transport-water': ['water transport', 'boat', 'ship'],
  warning: ['warning', 'prohibited'],
  writing: ['writing', 'pen'],
  zodiac: ['zodiac sign', 'zodiac'],
};

/** The texts that stand for a subgroup in zero-shot classification. */
export function classTexts(subgroup: string): string | readonly string[] {
  const written = CLASS_TEXTS[subgroup];
  if (written !== undefined) return written;
  const [kind, ...rest] = subgroup.split('-');
  if (rest.length === 0) return kind;
  const detail = rest.join(' and ');
  // "animal-bird" is a bird, "face-smiling" a smiling face.
  return ['animal', 'food', 'plant', 'place'].includes(kind) ? [detail, `${detail} ${kind}`] : `${detail} ${kind}`;
}
