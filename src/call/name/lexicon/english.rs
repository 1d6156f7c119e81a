//! English.

use super::super::grammar::{Act, Role};
use super::Part;

/// What words may do around a name.
pub const WORDS: Part = Part {
    roles: &[
        (
            Role::FILLER,
            "yes yeah yea yep yup ya sure ok okay okey k well so oh hi hello hey alright thankyou thx ty bye goodbye right fine great good \
             certainly absolutely definitely of course thanks thank you ty no nope problem gladly actually \
             sorry morning afternoon evening day please and there cool perfect awesome correct anyway like \
             just hiya greetings howdy wow yo but now then okie dokie lol haha pardon excuse apologies yeap wow gosh gee heck damn dang damnit omg jeez ugh ouch huh aww oops",
        ),
        (
            Role::TAIL,
            "please thanks thank speaking here again today tomorrow sir ma'am madam mate actually too now \
             calling though ok okay yes yeah sorry btw tonight haha lol as well right and",
        ),
        (
            Role::STARTER,
            "and i i'm im i've i'd i'll id ive my the a an with but or so because what what's whats which how \
             where when why who can could would will please is are do does did have it it's its that that's \
             this you you're your we we're he she they there from calling speaking here for about nice thanks \
             thank to at in on by if not also just then since ok okay if as am was need want let looking yes no \
             live lives work works really pleasure hello hi hey how's who's me mine",
        ),
        (
            Role::TITLE,
            "doctor miss madam sir captain officer sergeant lieutenant commander colonel major general reverend \
             father sister brother uncle aunt auntie first second lady lord coach trainer champion ensign nurse agent",
        ),
        (
            Role::NEVER,
            "a an the this that these those my your his her our their its it it's i i'm im i've i'd i'll is are \
             was were be been being am do does did not no nor yes from in on at of for to with by about as if \
             and or but so because what which who whom whose where when why how there here can could would \
             should shall must have has had having don't doesn't didn't isn't aren't wasn't won't can't \
             couldn't wouldn't you you're u we we're they they're he he's she she's them us me him mine yours \
             all any some every each none something anything nothing someone anyone everyone one two three four \
             five six seven eight nine ten just only also very really too quite still already almost even ever \
             never always again back later now then than up down out off over under going gonna trying looking \
             calling wondering having getting interested sorry glad happy sure good fine great okay ok well \
             afraid able unable about ready done here's that's there's what's it'll let lets let's please thanks \
             thank hello hi hey maybe perhaps probably actually basically unfortunately new old same different \
             more most less much many few lot bit kind sort type name names called calls like after before \
             until while during since without within whatever wherever whenever yeah yep nope got get give \
             spelled spelt im'a mr's himself herself myself yourself whats cuz cause coz ya alright correct right wrong today tomorrow tonight yesterday asap via wanna gunna gotta dunno lemme gimme heck damn dang omg huh huge wow",
        ),
        (
            Role::RELATION,
            "wife husband son daughter mother father mom mum mommy mummy dad daddy brother sister friend boss \
             colleague coworker partner girlfriend boyfriend fiance fiancee cousin uncle aunt auntie nephew niece \
             grandmother grandfather grandma grandpa granddaughter grandson roommate flatmate neighbor neighbour \
             assistant secretary kid child baby stepson stepdaughter nan granny dog cat pet puppy kitten buddy \
             pal manager teacher client patient spouse kids twin sibling mate driver parents parent son's",
        ),
        (
            Role::COURTESY,
            "nice to meet you pleased glad my name is i'm im i am it's its this the by way speaking calling \
             here how are doing today hope your pleasure mine too for asking that's that call me can may a think believe guess",
        ),
        (
            Role::NAME_KIND,
            "first second full given real last whole complete own actual legal preferred entire christian proper \
             correct birth whole nick sur family",
        ),
        (Role::HESITATION, "um er erm err eh hum"),
        (
            Role::GREETING,
            "hi hello hey hiya greetings howdy morning afternoon evening",
        ),
        (Role::NO, "no nope nah"),
        (
            Role::CALENDAR,
            "january february march april may june july august september october november december monday tuesday \
             wednesday thursday friday saturday sunday jan feb apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun",
        ),
        (
            Role::PHONETIC,
            "alpha alfa bravo charlie delta echo foxtrot golf hotel india juliet juliett kilo lima mike november oscar \
             papa quebec romeo sierra tango uniform victor whiskey whisky xray x-ray yankee zulu",
        ),
        (
            Role::RETRACT,
            "actually sorry mean meant rather correction oops wait",
        ),
        (
            Role::DETAIL,
            "account acc card pass confirmation number phone email mail ticket booking reservation order id password pin zip \
             code address ssn username dob birthday mobile cell contact insurance license policy flight seat \
             ride customer security postcode reference date plate",
        ),
    ],
    phrases: &[],
};

/// How callers give their own name.
pub const CUES: Part = Part {
    roles: &[],
    phrases: &[
        (
            Act::Strong,
            "my|me nameis|nameiss
             my|me|mu|mt|myy|ny|mine @kind? @kind? name is|was|iss|if|us|s
             my @kind? name's|names
             my @kind? name would be
             my @kind? name still? is|it's
             the @kind? name is|was
             the @kind? name's
             the name i|you go|use|used|gave|have|want by? is|was
             name should|would|will be
             name you|i can|should|could|have|go|need call|by|on|for me|file? is
             name on|for|of the|my|this|that reservation|booking|order|account|card|ticket|file|table is|for? is?
             name is for the reservation|booking|order is
             i'm|im called|named
             i am called|named
             named|christened me
             they|people|friends|family|folks|most call|calls me
             i go by the? name? of?
             go|goes|going by the? name? of?
             i'm|im|am|be|better known|addressed|called as|by?
             be|being referred|called to? as|by?
             refer|referring to me as|by
             address|know me as|by
             prefer|like|love|want to be called|addressed|known|named as|by?
             be called|named
             change|switch|set|update|make|edit|reset my|the name to|as|into|from?
             name to be changed|switched|set to
             save|put|list|register|record|enter|store|write me as|under|down as?
             use the name
             go with the name
             you're|your|are|youre speaking|talking|chatting with|to
             allow me to introduce myself i'm|i|as am?",
        ),
        (
            Act::Strict,
            "my @kind? name
             name
             name's
             names
             name is
             name it's|its
             first|full|last name is?
             my @kind? name is|was|gets spelled|spelt as|like?
             my @kind? name's|names spelled|spelt as|like?
             i spell my @kind? name
             i spell it|that as|like?
             name on the? account|reservation|booking|order|card",
        ),
        (
            Act::CallMe,
            "call|calling me|be as?
             calls me
             call me by
             call me by the|my name of?
             everyone|everybody calls me",
        ),
        (
            Act::Medium,
            "i'm|im|iam
             i am|a'm
             am
             i'm|im still
             it's|its me
             it is me
             i'm|im mr|mrs|ms|dr",
        ),
        (Act::Speaking, "myself"),
        (
            Act::Present,
            "this is|its|it's
             this's|thisis
             you|you're got|have got?",
        ),
        (
            Act::Asked,
            "it's|its|it'd|it'll
             it is|was|would|will|should be?
             that's|thats
             that is|would|will be?
             would be
             mine is|would be?
             mine's
             here is|it's|its
             still
             it|that|this|which is spelled|spelt as|like?
             it's|its|that's|thats spelled|spelt as|like?
             spelled|spelt as|like?
             make|put it|that to? under?|be?
             the reservation|booking|order is under|for|in
             i said|say|meant
             would be",
        ),
        (
            Act::Booking,
            "under|in|on|with|using the|a name|names of|is|as?
             under|in|on|with|using name|names of|is?
             under my? @kind? name of|is?
             and my? name is",
        ),
        (
            Act::BookingWeak,
            "under
             on behalf of
             behalf of
             made|booked|reserved by
             reservation|booking|table|room|appointment for|by
             reserved for",
        ),
        (
            Act::Ending,
            "is my @kind? name
             is the @kind? name
             is what|how you|they|i|people can|may|should? call|go|am me|by?
             is how i am called
             here
             speaking
             calling
             is speaking|calling|here
             on the|this line|phone",
        ),
        (
            Act::Courtesy,
            "nice|pleased|glad|great|good|lovely|pleasure to meet|hear|see|talk you|from|to you?
             how are you doing|today?
             how's it going
             here you go|are
             thank you so|very? much?
             no problem
             of course
             a pleasure
             one moment|second|sec",
        ),
    ],
};

/// Names that are not the caller's, and callers who give none.
pub const OTHERS: Part = Part {
    roles: &[],
    phrases: &[
        (
            Act::AnotherPerson,
            "this is his|her|their|the @relation
             i'm|im his|her|their|the @relation
             i am his|her|their|the @relation
             it's|its his|her|their|the @relation
             this is @owner's @relation
             i'm|im @owner's @relation
             i am @owner's @relation",
        ),
        (
            Act::Other,
            "he|she|it|who goes|go|went|going by the? name? of?
             his|her|their|its|your|our|whose @any? name is|was
             his|her|their|its|your|our name's
             his|her name
             @owner's @any? name is
             my|his|her|our|their|the|your|a @any? @any? @relation is|was|named|called|name|name's|names is?
             my|his|her|our|their|your @any? @relation
             my @any @any? name is|was
             name of my|the|his|her|our @any @any? is|was
             named|called
             speak|talk|speaking|talking|chat|meet|meeting with|to
             named after
             is this|that|it
             are|were you
             am i speaking|talking|chatting to|with
             who is|are|was
             who's|whos
             so you're|your
             you|u are
             you're|youre|ur
             isn't|wasn't|aren't this|that|it|you
             and this|that is
             as|like|than
             i am @owner's
             i'm|im|this @owner's",
        ),
        (
            Act::Reject,
            "not|isn't|isnt|ain't|aint|wasn't|wasnt called|named?
             i'm|im|am not called|named?
             i ain't|aint called|named?
             my @kind? name is|was not
             my @kind? name's|names not
             my @kind? name isn't|isnt|ain't|aint|wasn't|wasnt
             that's|thats|it's|its not",
        ),
        (
            Act::Forget,
            "stop|quit calling|addressing me
             stop|quit using|saying my|that|the name
             don't|dont|never|not call|address|calling me
             don't|dont use|say|keep|store|remember|save my|that|the name
             forget|delete|remove|erase|clear my|the|that name
             forget|delete|erase me|about? who? me|i? am?
             forget what i told|said you? my? name?
             don't|dont want you|to to? call|be|called me?",
        ),
        (
            Act::Refuse,
            "skip
             pass
             i'd|id|would|i rather not
             rather|prefer|prefers not
             would|i'd|id prefer|like to? not
             no|nah thanks|thank|need|way|name|names
             none of your|ur
             not your|ur business
             mind your own
             anonymous|anonymously
             nobody|noone
             don't|dont|not want|wanna|wish|need|like|feel|have to|comfortable|like? say|tell|give|share|giving|sharing|saying|disclose|provide
             i|don't|dont don't|dont|comfortable|want|wanna feel|to? comfortable|tell|say|give|share you|that|my?
             not telling|saying|giving|sharing|comfortable|gonna|going|willing|allowed
             won't|wont|can't|cannot|can|wouldn't|refuse not? to? tell|say|give|share|disclose|provide
             why do|should|would|must|are|is|does you|i|that|it? need|want|asking|ask|tell|give|have|matter|matters|relevant|care?
             why|what for|does|is|you it|that? matter
             what's|whats|what it|that|is|do to|it|you|my? you|name|need for|it?
             does|is|do that|it|i|you really? necessary|matter|have|need|required|important
             that's|thats|it's|its|is|it private|personal|confidential|irrelevant|unimportant
             doesn't|does|dont|not matter
             not important|necessary|relevant
             never mind
             nevermind
             who wants|cares|are
             no comment",
        ),
        (
            Act::Block,
            "call|calling me back|later|at|on|when|if|a|an|the|tomorrow|today|tonight|again|up|in|with|and|soon|now|for|to|after|before|anytime|any
             name is on|spelled|spelt|not|too|very|so|important|the|a|wrong|incorrect|correct|different|misspelled
             don't|dont|never|not|please call|calling me back|later|on|at|if|again|when|tomorrow|before|after|unless|anymore|tonight|today|names
             calling for|to|about|from|in|because|regarding|with|on|at|back
             here is|are|to|in|for|on|at|with|it|from|goes|comes|too
             speaking of|to|with|english|french|spanish|about|for
             call me is
             he|she always? calls|called me
             did|do|does you|they|he|she call|called me
             you|you've|they've just called me
             under|in|on the name field|tag|box|badge|column|section|list
             first|full|last|middle|nick|the|my|a @kind? name field|tag|box|badge|column|section|plate
             under the|a|my|your|his|her|control|way|pressure
             is here|speaking|calling to|for|about|from|in",
        ),
    ],
};
