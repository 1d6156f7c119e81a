//! Polish. Written folded: "imie" is "imię", "sie" is "się".

use super::super::grammar::{Act, Role};
use super::Part;

pub const POLISH: Part = Part {
    roles: &[
        (
            Role::FILLER,
            "tak dzien dobry witam czesc halo hej no dobrze oczywiscie jasne pewnie prosze dobra wiec ok okay dziekuje dzieki wieczor \
             przepraszam aha ach och a to wow jest",
        ),
        (Role::TAIL, "prosze dziekuje tutaj strony tej z ponownie"),
        (
            Role::STARTER,
            "i a ale ja mam chce chcialbym chcialabym potrzebuje moje moj moja z w na do od dla czy jak kiedy gdzie co kto jestem to jest \
             prosze dziekuje dzwonie mieszkam",
        ),
        (
            Role::TITLE,
            "pan pani panna doktor profesor inzynier magister",
        ),
        (
            Role::NEVER,
            "nie tak z w na do od dla po przy za ze sie to jest jestem byl byla ja ty on ona my wy oni i lub albo ale juz tu tam dzis dzisiaj \
             wczoraj jutro pozniej blednie dobrze zle tylko wszystko nic cos ktos nikt ten ta te kto co kiedy gdzie jak tez zawsze nigdy imie nazwisko bardzo \
             zmeczony zmeczona szczesliwy szczesliwa smutny zonaty zamezna pewien pewna gotowy gotowa moj moja moje twoj twoja jego jej \
             czy bo bym by jeszcze wlasnie teraz chory chora ciebie mnie mi ci go ich nas was",
        ),
        (
            Role::RELATION,
            "zona maz syn corka matka ojciec mama tata brat siostra przyjaciel przyjaciolka kolega kolezanka szef kuzyn kuzynka wujek ciocia \
             babcia dziadek pies kot partner partnerka",
        ),
        (
            Role::COURTESY,
            "milo mi cie pana pania poznac nazywam sie mam na imie moje nazwisko jestem jak masz",
        ),
        (Role::NO, "nie"),
        (
            Role::RETRACT,
            "przepraszam wlasciwie raczej mialem mialam mysli znaczy",
        ),
        (Role::NAME_KIND, "pelne prawdziwe cale pierwsze"),
        (
            Role::DETAIL,
            "numer konto telefon mail rezerwacja kod data adres pesel",
        ),
        (
            Role::CALENDAR,
            "styczen stycznia luty lutego marzec marca kwiecien kwietnia maj maja czerwiec czerwca lipiec lipca sierpien sierpnia wrzesien \
             wrzesnia pazdziernik pazdziernika listopad listopada grudzien grudnia poniedzialek wtorek sroda czwartek piatek sobota niedziela \
             roku rok",
        ),
    ],
    phrases: &[
        (
            Act::Strong,
            "nazywam sie
             ja nazywam sie
             mam na imie
             na imie mam|mi
             moje @kind? imie i? nazwisko? to|jest|brzmi
             imie i? nazwisko? to|jest|brzmi
             moje imie i? nazwisko?
             moje nazwisko to|jest
             nazwisko to
             imie i nazwisko
             imie to
             mow|mowcie|mowia mi|do mnie
             prosze mi mowic
             prosze mowic do? mi|mnie
             mozesz|moze mi|do pan|pani? mowic mnie?
             wolaja na? mnie
             rozmawia pan|pani z
             na nazwisko",
        ),
        (
            Act::CallMe,
            "mow|mowcie mi|do mnie?\nprosze mi mowic\nprosze mowic do? mi|mnie\nmozesz|moze mi pan|pani? mowic",
        ),
        (Act::Medium, "jestem\nja jestem\nz tej strony\ntu mowi"),
        (Act::Speaking, "tutaj\ntu\nmowi"),
        (Act::Asked, "to\njest to"),
        (Act::Asked, "to jest?\njest to?\na to"),
        (Act::BookingWeak, "w imieniu"),
        (
            Act::Ending,
            "z tej strony\nmam na imie\nto moje imie\nprzy telefonie\nmowi\nsie nazywam",
        ),
        (
            Act::AnotherPerson,
            "jestem jego|jej @relation\nto jego|jej @relation\nmowi jego|jej @relation",
        ),
        (
            Act::Other,
            "on|ona ma na imie\nma na imie\nnazywa sie\njego|jej|pana|pani|twoje imie to|jest\nmoj|moja|jego|jej|twoj|twoja @relation ma|nazywa|to? na|sie? imie?\njak sie|masz\nczy to|jestes",
        ),
        (
            Act::Reject,
            "nie jestem\nnie nazywam sie\nto nie\nnie mam na imie\nnie",
        ),
        (
            Act::Forget,
            "nie mow|mowcie|nazywaj|nazywajcie do? mnie|mi\nprzestan|przestancie mnie|mi|do\nzapomnij|usun|skasuj|prosze zapomniec|usunac? moje imie",
        ),
        (
            Act::Refuse,
            "wole nie\nnie chce podawac|podac|mowic|powiedziec\nnie podam|powiem\nnie dziekuje\npomin|pomijam\ndlaczego|po pytasz|pyta|chcesz|co pan|pani|ci|to?\nniewazne|nieistotne\nanonimowo|anonimowy|anonimowa\nnie twoja|pana|pani sprawa\nto nie twoja|pana|pani sprawa",
        ),
        (
            Act::Block,
            "jestem z|w|na|u|tu|tym|ta|za|po|od\nto jest? nie|dobrze|prawda|znaczy|bardzo|jest|moje|moj|moja|ten|ta\ntu|tutaj jest|sa|nie|w|na",
        ),
        (
            Act::Courtesy,
            "milo mi cie|pana|pania? poznac?\ndzien dobry\ndobry wieczor\njak sie masz",
        ),
    ],
};
