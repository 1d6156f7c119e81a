//! German and Dutch.

use super::super::grammar::{Act, Role};
use super::Part;

pub const GERMAN: Part = Part {
    roles: &[
        (
            Role::FILLER,
            "ja hallo guten gute morgen tag abend klar sicher gerne gern also na ok okay danke bitte naturlich moin servus \
             gruss gott hi hey ach oh wow super schon entschuldigung sorry jawohl selbstverstandlich genau gut doch",
        ),
        (
            Role::TAIL,
            "bitte danke hier am apparat nochmal wieder auch sehr angenehm",
        ),
        (
            Role::STARTER,
            "und aber ich bin habe hab mochte will wollte brauche mein meine mit in fur von aus ein eine kann konnen konnten \
             wie wann wo was wer hier spricht am das der die ist wir sie du danke bitte komme wohne es",
        ),
        (Role::TITLE, "herr frau herrn doktor fraulein"),
        (
            Role::NEVER,
            "nicht kein keine ein eine einer der die das den dem des in mit fur von aus auf an zu bei nach wie sehr mehr mein \
             dein sein ihr ihre ist bin sind war ich du er es wir und oder aber wenn schon hier da heute gestern spater gleich bald falsch richtig geschrieben gut schlecht nur alles \
             nichts etwas jemand niemand dieser diese dieses wer was wann wo auch immer nie heisse name so nicht mude glucklich traurig \
             verheiratet froh krank sicher fertig allein zufrieden noch gerade jetzt bereit im am zum zur vom",
        ),
        (
            Role::RELATION,
            "frau mann sohn tochter mutter vater mama papa bruder schwester freund freundin chef kollege kollegin cousin cousine \
             onkel tante oma opa hund katze verlobte verlobter partner partnerin",
        ),
        (
            Role::COURTESY,
            "freut mich sie kennenzulernen mein name ist ich bin heisse sehr erfreut wie geht es ihnen dir",
        ),
        (Role::NO, "nein ne nee"),
        (
            Role::CALENDAR,
            "montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag januar februar marz april mai juni juli august september oktober november dezember",
        ),
        (
            Role::RETRACT,
            "entschuldigung eigentlich sorry meinte meine vielmehr sondern",
        ),
        (
            Role::NAME_KIND,
            "voller vollstandiger richtiger ganzer erster vor",
        ),
        (
            Role::DETAIL,
            "nummer konto telefon mail reservierung code datum adresse kundennummer",
        ),
    ],
    phrases: &[
        (
            Act::Strong,
            "ich heisse|heiss auch?
             heisse
             mein @kind? name|vorname ist|lautet|war auch?
             mein name
             der name ist|lautet
             name ist
             man nennt mich
             nennen sie mich einfach? bitte?
             nenn|nennt mich einfach?
             sie konnen|durfen mich
             du kannst|darfst mich
             sie sprechen mit
             auf den namen
             unter dem namen",
        ),
        (
            Act::CallMe,
            "nennen sie mich einfach? bitte?\nnenn|nennt mich einfach?\nsie konnen|durfen mich\ndu kannst|darfst mich",
        ),
        (
            Act::Medium,
            "ich bin|bin's|bins der|die?\nich bin herr|frau\nbin der|die?\nich bin's\nhier ist|spricht|meldet der|die|sich?",
        ),
        (Act::Speaking, "hier\nam apparat ist?\nda ist"),
        (Act::Present, "hier ist"),
        (Act::Asked, "das ist|ware\nes ist"),
        (Act::BookingWeak, "im namen von\nim auftrag von"),
        (
            Act::Ending,
            "ist mein name\nheisse ich\nam apparat\nhier\nmein name\nspricht hier?",
        ),
        (
            Act::AnotherPerson,
            "ich bin seine|ihre|ihr|sein|der|die @relation\nhier ist|spricht seine|ihre|ihr|sein @relation\ndas ist seine|ihre|ihr|sein @relation",
        ),
        (
            Act::Other,
            "ich bin der|die|ein|eine @relation von\nsein|ihr|dein|euer name ist\ner|sie|es heisst\nmein|meine|sein|seine|ihr|ihre|dein|deine|unser|unsere @relation heisst|ist?\nmein|meine @any heisst\nwie heisst|heissen\nsind|bist sie|du\nwer ist|sind",
        ),
        (
            Act::Reject,
            "ich bin nicht\nich heisse nicht\nmein name ist nicht\ndas ist nicht\nnicht",
        ),
        (
            Act::Forget,
            "nennen|nenn|nennt sie? mich nicht\nhoren|hor sie? auf mich\nvergessen|vergiss|loschen|losche sie? meinen namen",
        ),
        (
            Act::Refuse,
            "mochte|will ich? nicht|lieber|meinen|das nicht? sagen|nennen?\nich mochte|will nicht|lieber|das|meinen nicht|namen? nicht? sagen|nennen|verraten?\nlieber nicht\nnein danke\nweiter|uberspringen\nwarum|wozu|weshalb brauchen|wollen|mussen|fragen|ist|willst|brauchst\ngeht sie|dich nichts\negal\nanonym\nspielt keine rolle",
        ),
        (
            Act::Block,
            "ich bin ein|eine|in|aus|von|bei|im|am|seit|der meinung\nhier ist|spricht es|ein|eine|das|niemand|kein|der|die nicht?\nhier in|gibt|und|war|bin|habe",
        ),
        (
            Act::Courtesy,
            "freut mich sie? kennenzulernen?\nsehr erfreut\nguten tag|morgen|abend\nwie geht es ihnen|dir\nvielen dank",
        ),
    ],
};

pub const DUTCH: Part = Part {
    roles: &[
        (
            Role::FILLER,
            "ja hallo goeden goede goedemorgen goedemiddag goedenavond goedendag dag morgen middag avond natuurlijk zeker graag oke ok \
             okay prima dank bedankt hoi hey nou dus eh tuurlijk jazeker sorry pardon wel best",
        ),
        (
            Role::TAIL,
            "alstublieft alsjeblieft bedankt dank hier nogmaals weer ook aangenaam je u",
        ),
        (
            Role::STARTER,
            "en maar ik ben heb wil wilde zou mijn met in voor uit een kan kunt hoe wanneer waar wat wie hier spreek aan het dat die is \
             wij u je jij dank bedankt kom woon bel want",
        ),
        (
            Role::TITLE,
            "meneer mevrouw mijnheer dokter juffrouw dhr mevr",
        ),
        (
            Role::NEVER,
            "niet geen een het dat die dit deze in met voor uit op aan bij naar als heel meer mijn jouw zijn haar is ben was ik jij je u hij zij ze wij we \
             en of maar al hier daar vandaag gisteren straks later verkeerd fout goed slecht alleen alles niets iets iemand niemand wie wat wanneer waar ook altijd nooit \
             heet naam zo moe blij verdrietig getrouwd zeker klaar bezig benieuwd nog net nu erg zelf wel te om over",
        ),
        (
            Role::RELATION,
            "vrouw man zoon dochter moeder vader mama papa broer zus vriend vriendin baas collega neef nicht oom tante oma opa hond kat partner",
        ),
        (
            Role::COURTESY,
            "aangenaam mijn naam is ik ben heet leuk je u te ontmoeten kennis maken hoe gaat het",
        ),
        (Role::NO, "nee neen"),
        (
            Role::CALENDAR,
            "maandag dinsdag woensdag donderdag vrijdag zaterdag zondag januari februari maart april mei juni juli augustus september oktober november december",
        ),
        (Role::RETRACT, "sorry eigenlijk bedoel bedoelde pardon"),
        (Role::NAME_KIND, "volledige hele echte eigen voor"),
        (
            Role::DETAIL,
            "nummer rekening telefoon mail reservering code datum adres",
        ),
    ],
    phrases: &[
        (
            Act::Strong,
            "ik heet
             mijn|m'n @kind? naam|voornaam is
             de naam is
             naam is
             ze|mensen noemen me|mij
             noem me|mij maar?
             je|u mag|kunt me|mij
             je|u spreekt met
             spreekt u? met
             zeg maar
             op|onder de? naam van?",
        ),
        (
            Act::CallMe,
            "noem me|mij maar?\nje|u mag|kunt me|mij\nzeg maar",
        ),
        (Act::Medium, "ik ben\nhier is|spreekt\nik ben het"),
        (Act::Speaking, "ben\nmet\nhier"),
        (Act::Present, "dit|hier is"),
        (Act::Asked, "dat|het is\nis"),
        (Act::BookingWeak, "namens\nuit naam van"),
        (
            Act::Ending,
            "is mijn naam\nis de naam\naan de telefoon|lijn\naan het woord\nhier\nheet ik",
        ),
        (
            Act::AnotherPerson,
            "ik ben zijn|haar|de|hun @relation\ndit|hier is zijn|haar @relation",
        ),
        (
            Act::Other,
            "ik ben de|een @relation van\nzijn|haar|jouw|uw|je naam is\nhij|zij|ze heet\nmijn|zijn|haar|jouw|uw|onze @relation heet|is?\nmijn @any heet\nhoe heet|heten\nbent|ben u|je|jij",
        ),
        (
            Act::Reject,
            "ik ben niet\nik heet niet\nmijn naam is niet\ndat|dit is niet\nniet",
        ),
        (
            Act::Forget,
            "noem me|mij niet|geen\nstop met me|mij\nvergeet|wis|verwijder mijn naam",
        ),
        (
            Act::Refuse,
            "zeg|geef ik|liever niet|liever\nik wil|zeg|geef dat|liever|mijn|het niet|naam? niet? zeggen|geven?\nliever niet\nnee dank|bedankt\nsla over\noverslaan\nwaarom|waarvoor wil|wilt|moet|vraagt|heb|heeft|heb|is\nmaakt niet uit\ngaat je|u niks|niets\nanoniem",
        ),
        (
            Act::Block,
            "ik ben een|in|uit|van|bij|het|op|al\nmet de|een|mijn|het\nhier is|in het|een|de|en|heb",
        ),
        (
            Act::Courtesy,
            "aangenaam\nleuk je|u te ontmoeten\nhoe gaat het\ndank je|u wel?",
        ),
    ],
};
