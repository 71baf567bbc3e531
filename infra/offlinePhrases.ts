import type { PassageKind } from './offlinePassages.ts';
import type { ReplyKind } from './offlineStances.ts';

/**
 * Sentences with slots. {who} is who spoke last, {theirs} words of theirs, {other} and {others} the same of somebody else,
 * {next} who has been silent longest, {quote} a passage of the document, {clause} its decisive words, {term} and {term2}
 * words of the topic. All but names are put in quotation marks: they are other people's words.
 */
export type Phrases = readonly string[];

export const openings: Phrases = [
  'For me the place to begin is {term}.',
  'The question in front of us turns on {term}.',
  'I would like to open with what {term} asks of us.',
  'Let me start from {term} and see how far it carries.',
  'Before we take sides, a word on {term}.',
];

export const plainOpenings: Phrases = [
  'Let me start with what is in front of us.',
  'I will open with what seems to me the first thing to settle.',
  'Somebody has to go first, so here is where I stand.',
];

export const replies: Readonly<Record<ReplyKind | 'answer', Phrases>> = {
  challenge: [
    'I would not go as far as {who} does with {theirs}.',
    '{who}, {theirs} has to carry a good deal of weight there, and I am not sure that it can.',
    'I read {theirs} differently from {who}.',
    'Before we accept {who}’s point about {theirs}, it needs a harder look.',
    '{who} brings in {theirs}, but that is only one side of it.',
    'With {theirs} alone, {who}, I am not persuaded yet.',
    'What {who} makes of {theirs} leaves something out.',
  ],
  build: [
    '{who} is right to bring up {theirs}.',
    'I would take {theirs}, as {who} has it, one step further.',
    '{who}’s point about {theirs} is worth building on.',
    'What {who} said about {theirs} connects with another part of this.',
    'Along with {theirs}, which {who} raised, something else belongs on the table.',
    'I am with {who} on {theirs}, and there is more to find there.',
    '{theirs} is well picked, {who}, and it does not stand alone.',
  ],
  add: [
    '{who} points at {theirs}; what follows from it is still to be settled.',
    'Let us stay with {theirs} for a moment, {who}.',
    'On {theirs}, {who}, I have one thing to add.',
    '{who} mentions {theirs}, and that changes where I would look next.',
    'Next to {theirs}, which {who} put forward, I would set something plainer.',
    'If we follow {who} and start from {theirs}, one step is still missing.',
    'Take {theirs}, the words {who} chose, and ask what they lead to.',
  ],
  concede: [
    '{who}’s point about {theirs} has moved me some way.',
    'I can live with what {who} says about {theirs}.',
    'After hearing {who} on {theirs}, I would put my own claim more narrowly.',
    '{who} and I may be closer on {theirs} than it seemed.',
    'I grant {who} this much about {theirs}: it belongs in the conclusion.',
    'Where {who} speaks of {theirs}, I no longer disagree with the direction.',
  ],
  answer: [
    '{who} asks {theirs}, and that deserves a direct reply.',
    'To {who}’s question, {theirs}, I can give a part of an answer.',
    '{theirs} is a fair question, {who}.',
    'You ask {theirs}, {who}, so let me try.',
    'I have been turning over {who}’s question, {theirs}.',
  ],
};

export const plainReplies: Phrases = [
  'I hear what {who} says, and I would come at it from another side.',
  '{who} has given us something to answer.',
  'Let me take that up, {who}.',
  'There is something in what {who} says, and something missing too.',
  'That is one way to see it, {who}.',
];

/** Two voices in one sentence: what a moderator begins with. */
export const summaries: Phrases = [
  'So far {who} has put {theirs} on the table, and {other} has put {others} next to it.',
  'Let me hold two things side by side: {theirs} from {who}, and {others} from {other}.',
  '{other} started from {others}, {who} answers with {theirs}, and both can be right.',
  'I hear {who} on {theirs} and {other} on {others}; let us see where the two meet.',
  'Between {others}, which was {other}’s point, and {who}’s {theirs} lies what we have to settle.',
];

export const quoteIntroductions: Phrases = [
  'The document says: {quote}.',
  'Look at how it is put: {quote}.',
  'There is this passage: {quote}.',
  'The text itself reads: {quote}.',
  'In the words of the document: {quote}.',
  'Let me quote what we have: {quote}.',
];

/** These refer to what was said before, so they come after the opening. */
export const closeIntroductions: Phrases = [
  'One passage bears on this: {quote}.',
  'Here is the line I would hold on to: {quote}.',
  'Set beside that, this deserves a second reading: {quote}.',
  'Elsewhere the document has this: {quote}.',
  'I keep coming back to one line: {quote}.',
  'My evidence is in the text: {quote}.',
  'We should put these words next to it: {quote}.',
  'Compare that with what is written: {quote}.',
  'The passage that made me stop was {quote}.',
  'Read {quote} with that in mind.',
];

/** For a passage that shares little with topic and talk: it is not sold as an answer. */
export const distantIntroductions: Phrases = [
  'The document does not speak to that directly; near it I find {quote}.',
  'I find nothing in the text that settles it, though it does say {quote}.',
  'A different part of the document may help: {quote}.',
  'Let me bring in a passage we have left aside: {quote}.',
  'To widen the view a little, the document also says {quote}.',
  'Away from that thread there is still this: {quote}.',
];

export const readings: Readonly<Record<PassageKind, Phrases>> = {
  condition: [
    'Everything there hangs on {clause}.',
    'That holds only as far as {clause} reaches.',
    'The weight sits in {clause}: take it away and the line says something else.',
    'So the first thing to check is whether {clause} is met.',
    'Without {clause} it would be a much broader statement.',
    'A condition is built into it, and conditions are where cases differ.',
  ],
  exclusion: [
    'In other words, the risk stays with whoever relies on it.',
    'That takes a promise away rather than making one.',
    'With {clause} in it, nobody should plan as if the opposite were written there.',
    'It tells us what we cannot count on, which is worth knowing early.',
  ],
  prohibition: [
    'That draws a line, and {clause} is where it runs.',
    'A limit like that matters most on the day somebody wants to cross it.',
    'Whatever we propose has to get past {clause}.',
    'It closes one way, and the others have to be looked at one by one.',
  ],
  negation: [
    'The negative in it is the part to remember.',
    'Any plan has to live with {clause}.',
    'What it rules out is as telling as what it leaves open.',
    'So nobody should count on more than that.',
    'I would underline {clause}, since it is easily read over.',
  ],
  obligation: [
    'That is put as a duty, and a duty needs somebody who carries it out.',
    'As worded, {clause} leaves little room to choose.',
    'It asks something definite of those it addresses.',
    'Somebody will have to show that {clause} was taken seriously.',
    'The words that count there are {clause}.',
  ],
  permission: [
    'That opens a door; it does not oblige anyone to walk through it.',
    'The room it gives is named in {clause}.',
    'I read {clause} as freedom to act, within whatever surrounds it.',
    'What is allowed is spelled out there, and that is more than silence would give us.',
    'It says what can be done, and leaves to us whether it should be.',
  ],
  definition: [
    'Much depends on that definition, because every later use of the word inherits it.',
    'With the meaning fixed like that, the argument about words gets shorter.',
    'Whether a case falls under {clause} is decided there and not later.',
    'So {clause} is a term with edges, and our examples have to fit inside them.',
  ],
  number: [
    'With {clause} there is at least something that can be counted.',
    'A figure such as {clause} can be checked, and most arguments cannot.',
    'That gives the discussion something to hold on to: {clause}.',
    'Numbers invite a test, and {clause} is one.',
  ],
  contrast: [
    'The turn comes with {clause}, and that half should not get lost.',
    'Both halves of it count, also the one after {clause}.',
    'It gives with one hand and qualifies with the other.',
  ],
  cause: [
    'A reason is given there too, {clause}, and a reason can be examined.',
    'So it argues instead of only asserting, and {clause} is the hinge.',
    'It says why, not only what, and that is what I would test.',
  ],
  plain: [
    'It describes how things stand, and leaves the judgement to us.',
    'I take that as ground to stand on rather than as an answer.',
    'That is a statement we can hold against our own case.',
    'Read slowly, it says no more than it says, and that is useful to know.',
    'It does not decide the matter, but it narrows what can be claimed.',
    'What matters to me there is the plain wording.',
  ],
};

/** Where there is no document: arguments that need nothing but the topic's own words. */
export const topicPoints: Phrases = [
  'Everything else depends on what we are ready to count as {term}.',
  'There are at least two readings of {term}, a narrow one and a wide one, and they lead to different answers.',
  'If {term} is the aim, we should be able to say how we would notice having reached it.',
  'Imagine for a moment that there were no {term}: what would be lost, and who would miss it?',
  'Whatever speaks for {term}, it asks for something in return, and both belong in the same sum.',
  'Between {term} and {term2} there may be a tension, and it is better named than avoided.',
  'It helps to ask for whom {term} would change anything at all.',
  'What would have to be true for {term} to be the wrong thing to look at?',
  'I would separate what we know about {term} from what we hope.',
  'One could begin small with {term} and learn, or decide once and for all; those are different plans.',
  'Time matters here: {term} may look one way this month and another way in five years.',
  'Take {term2} out of the question, and see whether {term} still needs an answer.',
  'A concrete case of {term} would teach us more than another general remark.',
  'Perhaps {term} and {term2} are one problem seen from two sides.',
];

export const plainPoints: Phrases = [
  'I would first agree on what a good outcome looks like, and only then on the way to it.',
  'It helps to separate what we know from what we hope.',
  'A concrete case would teach us more than another general remark.',
  'What would have to be true for the opposite to be right?',
  'There is a cost on each side, and both belong in the same sum.',
  'We could begin small and learn, or decide once and for all; those are different plans.',
];
