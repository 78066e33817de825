// The captions that class names are put into, for each downstream set: the prompts of OpenAI's CLIP, in their order. Pure.

const ARTICLES = ['a', 'the'];

/** All of `make` for each word in turn. */
function each(words: readonly string[], make: (word: string) => readonly string[]): string[] {
  return words.flatMap(make);
}

const aPhoto = (of: string) => [`a photo of ${of}.`];
const aKindOf = (kind: string) => aPhoto(`a {}, a type of ${kind}`);

const CIFAR = each(ARTICLES, (a) => [
  ...each(['', 'blurry ', 'black and white ', 'low contrast ', 'high contrast ', 'bad ', 'good '], (how) => [
    `a ${how}photo of ${a} {}.`,
  ]),
  ...each(['small', 'big'], (size) => aPhoto(`${a} ${size} {}`)),
]);

const CALTECH = each(ARTICLES, (a) => [
  ...each(['photo of', 'painting of'], (art) => [`a ${art} ${a} {}.`]),
  `${a} plastic {}.`,
  ...each(['sculpture of', 'sketch of', 'tattoo of'], (art) => [`a ${art} ${a} {}.`]),
  `${a} toy {}.`,
  `a rendition of ${a} {}.`,
  ...each(['embroidered {}', 'cartoon {}', '{} in a video game', 'plushie {}', 'origami {}'], (what) => [
    `${a} ${what}.`,
  ]),
  ...each(['art', 'graffiti', 'a drawing', 'a doodle'], (art) => [`${art} of ${a} {}.`]),
]);

const RECORDINGS = ['photo', 'video', 'example', 'demonstration'];
const ACTING = ['', 'using ', 'doing ', 'during ', 'performing ', 'practicing '];

const KINETICS = each(RECORDINGS, (form) => [
  `a ${form} of {}.`,
  ...each(ACTING, (acting) => [`a ${form} of a person ${acting}{}.`]),
]);

const UCF = each(ACTING, (acting) =>
  each(ARTICLES, (a) => each(RECORDINGS, (form) => [`a ${form} of ${a} person ${acting}{}.`])),
);

/** By set; each has one `{}`. */
export const TEMPLATES: Readonly<Record<string, readonly string[]>> = {
  food101: ['a photo of {}, a type of food.'],
  cifar10: CIFAR,
  cifar100: CIFAR,
  cub200: aKindOf('bird'),
  sun397: each(ARTICLES, (a) => aPhoto(`${a} {}`)),
  cars: [
    ...each(['a', 'the', 'my'], (a) => aPhoto(`${a} {}`)),
    'i love my {}!',
    ...each(['dirty', 'clean', 'new', 'old'], (state) => aPhoto(`my ${state} {}`)),
  ],
  aircraft: each(ARTICLES, (a) => aPhoto(`${a} {}, a type of aircraft`)),
  dtd: each(ARTICLES, (a) => each(['texture', 'pattern', 'thing', 'object'], (what) => aPhoto(`${a} {} ${what}`))),
  pets: aKindOf('pet'),
  caltech101: CALTECH,
  flowers: aKindOf('flower'),
  mnist: ['a photo of the number: "{}".'],
  fer2013: [
    ...each(['a {} looking face', 'a face showing the emotion: {}', 'a face looking {}'], aPhoto),
    'a face that looks {}.',
    'they look {}.',
    'look at how {} they are.',
  ],
  stl10: each(ARTICLES, (a) => aPhoto(`${a} {}`)),
  eurosat: each(['', 'a ', 'the '], (a) => [`a centered satellite photo of ${a}{}.`]),
  resisc45: each(['', 'a ', 'the '], (a) =>
    each(['imagery', 'photo', 'view'], (what) =>
      each(['satellite', 'aerial'], (from) => [`${from} ${what} of ${a}{}.`]),
    ),
  ),
  gtsrb: each(['zoomed in', 'centered', 'close up'], (how) => [`a ${how} photo of a "{}" traffic sign.`]),
  kitti_distance: ['{}'],
  country211: each(
    ['i took in', 'i took while visiting', 'from my home country of', 'from my visit to', 'showing the country of'],
    (where) => [`a photo ${where} {}.`],
  ),
  patch_camelyon: ['this is a photo of {}'],
  ucf101_frames: UCF,
  kinetics700_frames: KINETICS,
  clevr_counts: ['a photo of {} objects.'],
  hateful_memes: ['a {}.'],
  rendered_sst2: ['a {} review of a movie.'],
  imagenet: [
    'itap of a {}.',
    'a bad photo of the {}.',
    'a origami {}.',
    'a photo of the large {}.',
    'a {} in a video game.',
    'art of the {}.',
    'a photo of the small {}.',
  ],
};
