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

/**
 * What a subgroup is in everyday words, with a few of its typical members: many subgroups ("other-object", "hand-prop") have no
 * name that anybody would say, and a model that reads nothing but captions of emoji cannot know words such as "mammal".
 */
const CLASS_TEXTS: Readonly<Record<string, readonly string[]>> = {
  alphanum: ['letters in a square', 'button with letters', 'latin letters'],
  'animal-amphibian': ['frog', 'green animal'],
  'animal-bird': ['bird', 'chicken', 'duck', 'animal with wings'],
  'animal-bug': ['bug', 'insect', 'ant', 'spider'],
  'animal-mammal': ['animal', 'dog', 'horse', 'cow', 'mouse'],
  'animal-marine': ['fish', 'whale', 'animal in the ocean'],
  'animal-reptile': ['snake', 'lizard', 'dragon'],
  arrow: ['arrow', 'arrow pointing'],
  'arts-crafts': ['art', 'painting', 'sewing thread'],
  'av-symbol': ['play button', 'video button', 'stop button'],
  'award-medal': ['medal', 'trophy'],
  'body-parts': ['part of the body', 'ear', 'leg', 'arm'],
  'book-paper': ['book', 'paper', 'newspaper'],
  'cat-face': ['cat face', 'cat with a face'],
  clothing: ['clothing', 'shirt', 'shoe', 'dress', 'hat'],
  computer: ['computer', 'laptop', 'computer disk'],
  currency: ['currency', 'dollar'],
  dishware: ['plate', 'knife and fork', 'spoon'],
  drink: ['drink', 'glass of a drink', 'beer', 'wine'],
  emotion: ['anger symbol', 'speech bubble', 'comic'],
  event: ['celebration', 'party', 'festival', 'christmas tree'],
  'face-affection': ['face in love', 'kissing face', 'smiling face with hearts'],
  'face-concerned': ['sad face', 'crying face', 'worried face'],
  'face-costume': ['ghost', 'monster', 'robot face'],
  'face-glasses': ['face with glasses', 'face with sunglasses'],
  'face-hand': ['face with a hand', 'face with hand over mouth'],
  'face-hat': ['face with a hat'],
  'face-negative': ['angry face', 'devil face', 'skull'],
  'face-neutral-skeptical': ['neutral face', 'expressionless face', 'unamused face'],
  'face-sleepy': ['sleepy face', 'tired face', 'sleeping face'],
  'face-smiling': ['smiling face', 'grinning face', 'happy face', 'laughing face'],
  'face-tongue': ['face with tongue'],
  'face-unwell': ['sick face', 'dizzy face', 'face with bandage'],
  flag: ['flag', 'flag of a country'],
  'country-flag': ['flag of a country', 'flag'],
  'subdivision-flag': ['flag of a country', 'flag'],
  'food-asian': ['rice', 'noodles', 'sushi'],
  'food-fruit': ['fruit', 'apple', 'grapes'],
  'food-prepared': ['food', 'bread', 'meat', 'sandwich'],
  'food-sweet': ['sweet', 'dessert', 'cake', 'ice cream'],
  'food-vegetable': ['vegetable', 'green vegetable', 'pepper'],
  game: ['game', 'card of a game', 'dice'],
  gender: ['female sign', 'male sign'],
  geometric: ['square', 'circle', 'geometric'],
  'hand-fingers-closed': ['fist', 'thumbs up'],
  'hand-fingers-open': ['open hand', 'raised hand', 'hand with fingers splayed'],
  'hand-fingers-partial': ['hand with two fingers', 'victory hand', 'crossed fingers'],
  'hand-prop': ['writing hand', 'nail polish', 'hand holding a phone'],
  'hand-single-finger': ['pointing finger', 'hand pointing with the finger'],
  hands: ['hands', 'clapping hands', 'raised hands'],
  heart: ['heart', 'red heart', 'love'],
  hotel: ['hotel', 'hotel bell', 'luggage'],
  household: ['chair', 'bed', 'bathroom', 'cleaning'],
  keycap: ['keycap', 'key with a number'],
  'light-video': ['light', 'camera', 'video'],
  lock: ['lock', 'key'],
  mail: ['mail', 'mailbox', 'envelope'],
  math: ['math', 'plus sign'],
  medical: ['medical', 'doctor', 'medicine'],
  money: ['money', 'banknote'],
  'monkey-face': ['monkey face', 'monkey'],
  music: ['music', 'musical note', 'microphone'],
  'musical-instrument': ['musical instrument', 'instrument', 'guitar', 'drum'],
  office: ['office', 'folder', 'paper clip', 'chart'],
  'other-object': ['thing', 'sign', 'smoking'],
  'other-symbol': ['symbol', 'sign', 'mark'],
  person: ['person', 'man', 'woman', 'baby'],
  'person-activity': ['person walking', 'person dancing', 'running person'],
  'person-fantasy': ['fantasy person', 'fairy tale', 'vampire', 'superhero'],
  'person-gesture': ['person gesturing', 'person with a gesture of the hand'],
  'person-resting': ['person in bed', 'person relaxing', 'person in a bath'],
  'person-role': ['worker', 'person with a job', 'police officer', 'guard'],
  'person-sport': ['person doing sport', 'person swimming', 'person biking'],
  'person-symbol': ['silhouette of people', 'people', 'footprints'],
  family: ['family', 'couple', 'people holding hands', 'kiss'],
  phone: ['phone', 'telephone'],
  'place-building': ['building', 'house', 'castle'],
  'place-geographic': ['mountain', 'beach', 'island'],
  'place-map': ['map', 'globe', 'world'],
  'place-other': ['city', 'bridge', 'place at night'],
  'place-religious': ['church', 'temple', 'place of worship'],
  'plant-flower': ['flower', 'rose', 'blossom'],
  'plant-other': ['plant', 'tree', 'leaf'],
  punctuation: ['punctuation', 'question mark', 'exclamation mark'],
  religion: ['religion', 'cross', 'star of a religion'],
  science: ['science', 'microscope', 'chemistry'],
  'sky-weather': ['weather', 'moon', 'cloud', 'sun'],
  sound: ['sound', 'speaker', 'bell'],
  sport: ['sport', 'ball of a sport'],
  time: ['clock', 'watch', 'time'],
  tool: ['tool', 'hammer', 'weapon'],
  'transport-air': ['airplane', 'helicopter', 'rocket'],
  'transport-ground': ['vehicle', 'car', 'train', 'bus'],
  'transport-sign': ['restroom sign', 'sign with a person', 'toilet'],
  'transport-water': ['boat', 'ship'],
  warning: ['prohibited', 'no entry', 'warning'],
  writing: ['pen', 'pencil', 'writing'],
  zodiac: ['zodiac', 'sign of the zodiac'],
};

/** The texts that stand for a subgroup in zero-shot classification; its own words where none were written. */
export function classTexts(subgroup: string): readonly string[] {
  return CLASS_TEXTS[subgroup] ?? [subgroup.replaceAll('-', ' ')];
}
