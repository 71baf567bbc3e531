import type { Phrases } from './offlinePhrases.ts';
import type { Stance } from './offlineStances.ts';

export const phases = ['opening', 'examining', 'weighing', 'concluding'] as const;
export type Phase = (typeof phases)[number];

/** What each stance does with a turn: sentences as in `offlinePhrases.ts`, for the phase the discussion is in. */
export const moves: Readonly<Record<Stance, Readonly<Record<Phase, Phrases>>>> = {
  sceptic: {
    opening: [
      'My worry is simple: what sounds settled may turn out not to be, and I would like to find out before we rely on it.',
      'I will take the doubtful side for now and ask what could go wrong.',
      'Until somebody shows me the weak point of {term}, I will assume that we have not found it yet.',
      'I would rather be convinced late than be wrong early.',
    ],
    examining: [
      'Who bears the loss if our reading is mistaken?',
      'I can think of a case where this breaks, and I would like to hear how it is handled.',
      'We are taking the friendly interpretation; what does the unfriendly one allow?',
      'What is not said there bothers me more than what is.',
      'Show me the exception, and I will know how good the rule is.',
    ],
    weighing: [
      'On balance the uncertainty still costs more than most of us have admitted.',
      'If the advantage is real, it should survive one honest attempt to disprove it.',
      'I see the benefit, but it is promised while the risk is written down.',
      'Both sides have a point; mine is that only one of the two mistakes can be undone.',
    ],
    concluding: [
      'I will not block this, as long as the open risk is written down next to the decision.',
      'My conclusion is a cautious one, with a date on which we look again.',
      'I keep one doubt, and I would rather keep it in writing.',
      'If we go ahead, let it be with a way back.',
    ],
  },
  optimist: {
    opening: [
      'I see more to gain here than to fear, and I would like to say why.',
      'My starting point is what becomes possible with {term}, not only what might fail.',
      'There is a real chance in this, if we take it seriously.',
      'I am hopeful, and I think that I can give reasons for it.',
    ],
    examining: [
      'That leaves more room than the worried reading suggests.',
      'Think of what somebody could start tomorrow on that basis alone.',
      'The difficulty is real, and it is one that can be worked with.',
      'What looks like a limit there may be what makes the rest dependable.',
      'I would ask what we could try first and lose little by trying.',
    ],
    weighing: [
      'If I put both columns side by side, the gains are broader and the costs are ones we can plan for.',
      'Waiting has a price too, and nobody has entered it yet.',
      'The objections make the case better; they do not bring it down.',
      'I would accept some risk for that, and say so openly.',
    ],
    concluding: [
      'So I am for it, with safeguards where they cost little.',
      'We have found enough common ground to begin.',
      'My summary is short: worth doing, and worth doing carefully.',
      'I leave with more reasons for it than I came with.',
    ],
  },
  pragmatist: {
    opening: [
      'What interests me is what we would do differently on Monday.',
      'I would judge this by what it costs to follow and what it saves.',
      'Let us find the smallest decision about {term} that is worth making.',
      'I care less about who is right than about what works here.',
    ],
    examining: [
      'In practice that means a step somebody has to take, so who takes it, and when?',
      'What does it cost to comply, and what does it cost not to?',
      'I would turn that into a checklist of three lines and see whether it holds.',
      'The common case is covered; how often do we expect the uncommon one?',
      'We can act on that without having solved the rest.',
    ],
    weighing: [
      'Neither side is free, so I would take the option that is cheaper to correct.',
      'If both readings lead to the same action, we can stop arguing about the reading.',
      'The question is no longer whether, but how much of it is enough.',
      'Most of the value is in the first part; the remainder can wait.',
    ],
    concluding: [
      'I propose that we decide, note the one open point, and come back to it when there is a case.',
      'For me that is enough to act on.',
      'Let us write down who does what, and close this part.',
      'My vote goes to the simple version, reviewed after some use.',
    ],
  },
  lawyer: {
    opening: [
      'I would begin with the exact words, because that is what people will be held to.',
      'First the terms, then the exceptions, then the consequences: that order saves trouble.',
      'Before opinions about {term}, let us see what is actually laid down.',
      'The question for me is who may do what, and under which conditions.',
    ],
    examining: [
      'A careful reader would ask to whom this applies, and from when on.',
      'The duty and its exception have to be read together, never one alone.',
      'If two parties disagreed about that line, what would each of them cite?',
      'I would not rely on what is customary where the wording is specific.',
      'What counts is the scope, and scope is a matter of a few words.',
    ],
    weighing: [
      'The broad reading helps us today and binds us tomorrow; the narrow one does neither.',
      'Between two defensible readings I prefer the one that I could defend against us.',
      'What is granted weighs a good deal, and what is reserved weighs as much.',
      'The exposure can be limited, provided that we keep to the letter.',
    ],
    concluding: [
      'My advice is to go by the wording, and to record that we did.',
      'I am satisfied on the main point and would put the remaining one to a specialist.',
      'Taken as a whole, this can be lived with.',
      'So the position is defensible, which is less than certain and still enough.',
    ],
  },
  engineer: {
    opening: [
      'I would like to know how we could test this before we argue about it.',
      'Let me treat {term} as a specification and look for inputs, outputs and failure cases.',
      'I start with the mechanism: what has to happen, in which order, and what if it does not?',
      'My interest is in what can be checked.',
    ],
    examining: [
      'What happens at the boundary, where the rule only just applies?',
      'I would write one test for that and two for its exception.',
      'Is that something a machine could verify, or does it need a person every time?',
      'The failure case is more instructive than the normal one.',
      'If that changes later, how many other things change along with it?',
    ],
    weighing: [
      'Simple and slightly wrong can be repaired; complicated and slightly wrong cannot.',
      'I would pay for the stricter version once rather than for the loose one every week.',
      'The trade is flexibility against certainty, and only one of them can be added later.',
      'I can put a bound on effort more easily than on doubt, and I would choose accordingly.',
    ],
    concluding: [
      'I would build on that, with a check for the one assumption that we could not prove.',
      'Good enough to try, small enough to undo: that is my conclusion.',
      'Let us fix the interface of the decision now and leave the details open.',
      'The remaining risk is one that we would notice, and that settles it for me.',
    ],
  },
  moderator: {
    opening: [
      'I suggest that each of us names one thing that would change their mind.',
      'Let us first collect how each of us reads {term}, and disagree afterwards.',
      '{next}, where would you begin?',
      'My part is to keep the strands apart until we can join them.',
    ],
    examining: [
      '{next}, does that change your view, or does it confirm it?',
      'I would like to hear from {next} which part of that is in dispute at all.',
      'There seem to be two questions here, what is said and what follows from it; let us take the first.',
      'Could {next} give an example, so that we all mean the same thing?',
    ],
    weighing: [
      'My impression is that we differ about weights more than about words.',
      '{next}, if you had to give up one of your points, which would it be?',
      'Let us say aloud what speaks for each side, and {next} may begin.',
      'It would help to say what these views have in common before we count the differences.',
    ],
    concluding: [
      'If nobody objects, I would record what we share and list the rest as open.',
      'To close, I would put one sentence on what we share and one on what stays open.',
      '{next}, can you live with that as a summary?',
      'What I take along is a direction; the pace can be settled separately.',
    ],
  },
  newcomer: {
    opening: [
      'I come to this without background, so I will ask the obvious things first.',
      'In my own words: somebody wants to know about {term}, and I would like to understand why it is difficult.',
      'Forgive a simple question, but what does that mean for an ordinary person?',
      'I am here to learn, and I will say so when I lose the thread.',
    ],
    examining: [
      'Have I understood correctly that this is the point on which the others differ?',
      'Could somebody say that in one sentence without any special terms?',
      'I would have expected the opposite, so where is my mistake?',
      'What would a person do who has read only that line?',
      'It sounds clear until I try to apply it to somebody I know.',
    ],
    weighing: [
      'If I had to explain both sides at home, I could do it now, and that is progress.',
      'The simpler reading convinces me more, though I cannot yet say why it should win.',
      'Each argument makes sense to me alone; together they pull in different directions.',
      'I notice that I trust the side that admits what it does not know.',
    ],
    concluding: [
      'I came with a vague idea and leave with a question I can actually ask.',
      'If I have followed you, there is an answer here, with a footnote.',
      'That I can repeat to others, which is my test for having understood it.',
      'For me the matter is clear enough to take part in the decision.',
    ],
  },
  advocate: {
    opening: [
      'I would like us to keep in mind those who live with the result.',
      'Somebody who is not in this room will feel {term} first, so let us speak for them too.',
      'My question is who gains, who pays, and who was asked.',
      'Let us begin with the people concerned, and go from there to the principle.',
    ],
    examining: [
      'Would the person affected even know that this applies to them?',
      'That may be fair on paper; what is it like for the one with the least time and money?',
      'Who can object, and would it be heard?',
      'I would want that explained to the people concerned before it is decided for them.',
      'Whoever writes the rule sees it differently from whoever meets it.',
    ],
    weighing: [
      'A small inconvenience for many can outweigh a large comfort for few.',
      'I would rather lose some efficiency than the trust of those concerned.',
      'The benefits are easy to count and the burdens easy to overlook, so let me count them too.',
      'Both options can be fair, if those who carry the burden have a say.',
    ],
    concluding: [
      'I can support that, if we tell the people concerned plainly what it means for them.',
      'My condition is modest: somebody has to be answerable.',
      'Then let it be written so that those it concerns can read it.',
      'With a way to object, I am content.',
    ],
  },
};
