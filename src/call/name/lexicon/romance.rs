//! Spanish, Portuguese, Italian and French. Written folded: "nome e" is "nome é".

use super::super::grammar::{Act, Role};
use super::Part;

pub const SPANISH: Part = Part {
    roles: &[
        (
            Role::FILLER,
            "si claro hola buenos buenas dias tardes noches bueno pues vale ok okay gracias mire mira por supuesto \
             encantado encantada perdon disculpe ah oh bien perfecto desde luego muy como no que tal wow oye a ver",
        ),
        (
            Role::TAIL,
            "por favor gracias aqui senor senora nuevo vez otra encantado encantada tambien",
        ),
        (
            Role::STARTER,
            "y e pero que soy es tengo quiero quisiera necesito me mi con en para por llamo desde un una puedo puede \
             podria como cuando donde gracias hablando llamando al estoy aqui vivo trabajo cual esta este mucho yo usted tu",
        ),
        (
            Role::TITLE,
            "senor senora senorita don dona sr sra srta doctora profesora",
        ),
        (
            Role::NEVER,
            "no un una el los las en con por para que como muy mas mi tu su es soy estoy yo me te se lo le nos y o pero si \
             ya aqui alli hoy ayer muy bien mal solo todo nada algo alguien nadie este esta esto ese eso quien cual cuando \
             donde tambien siempre nunca luego despues manana ahora mal correcto incorrecto equivocado llamo nombre tan feliz triste cansado cansada casado casada seguro segura",
        ),
        (
            Role::RELATION,
            "esposa esposo mujer marido hijo hija madre padre mama papa hermano hermana amigo amiga novio novia primo prima \
             tio tia jefe companero companera abuelo abuela perro gato",
        ),
        (
            Role::COURTESY,
            "mucho gusto me llamo mi nombre es soy encantado encantada placer conocerle conocerte usted estas esta",
        ),
        (Role::NO, "no"),
        (
            Role::CALENDAR,
            "lunes martes miercoles jueves viernes sabado enero febrero marzo mayo junio agosto septiembre octubre noviembre diciembre",
        ),
        (Role::RETRACT, "perdon digo mejor realidad corrijo"),
        (Role::NAME_KIND, "nombre primer completo propio verdadero"),
        (
            Role::DETAIL,
            "numero cuenta telefono correo reserva codigo fecha direccion",
        ),
    ],
    phrases: &[
        (
            Act::Strong,
            "me llamo
             yo me llamo
             me llaman|dicen|apodan
             mi nombre completo? es|era
             el nombre es
             mi primer? nombre es
             nombre es
             puede|puedes|pueden llamarme|decirme
             llamame|digame|dime|llameme
             habla|hablas|hablando con
             prefiero que me llamen|llames|digan
             a nombre de
             al habla",
        ),
        (
            Act::CallMe,
            "llamame|llameme\npuede|puedes llamarme\nme gusta que me llamen|digan",
        ),
        (Act::Medium, "soy\nyo soy"),
        (Act::Speaking, "aqui|habla\nle|te habla\nle|te saluda"),
        (Act::Asked, "esta|este es"),
        (Act::Present, "esta|este|aqui al habla"),
        (Act::Asked, "es\nseria\nel mio es\nsigo siendo"),
        (Act::BookingWeak, "de parte de\nen nombre de"),
        (
            Act::Ending,
            "es mi nombre\nal habla\npara servirle|servirte\nes como me llaman\naqui",
        ),
        (
            Act::AnotherPerson,
            "soy su|el|la @relation\nesta|este es su @relation\nhabla su @relation",
        ),
        (
            Act::Other,
            "soy su|el|la|un|una @relation de|del\nsu|tu nombre es\nse llama\nmi|tu|su @relation se? llama|es?\nmi @any se llama\nes usted|este|esta\ncomo te|se llama|llamas\nel nombre de mi @any es",
        ),
        (
            Act::Reject,
            "no soy\nno me llamo\nmi nombre no es\nno es\nno",
        ),
        (
            Act::Forget,
            "no me llame|llames|diga|digas\ndeja|deje de llamarme|decirme\nolvida|olvide|borra|borre|elimina|elimine mi nombre",
        ),
        (
            Act::Refuse,
            "prefiero no\nno quiero decir|dar|decirlo|darlo|compartir\nno gracias\npaso\nno se lo|te voy|digo\npor que|para que necesita|quiere|lo|necesitas|quieres\nno importa\nno es asunto suyo|tuyo\nanonimo\nno te|le importa",
        ),
        (
            Act::Block,
            "soy de|del|la|el|un|una\nno me llamo mucho\nme llamo la atencion\naqui en|esta|hay|no",
        ),
        (
            Act::Courtesy,
            "mucho gusto\nun placer\nbuenos dias\nbuenas tardes|noches\ncomo esta|estas\npor favor",
        ),
    ],
};

pub const PORTUGUESE: Part = Part {
    roles: &[
        (
            Role::FILLER,
            "sim claro ola oi bom boa dia tarde noite bem pois ok okay obrigado obrigada tudo certo com certeza alo e entao \
             desculpe desculpa prazer ah oh wow ta",
        ),
        (
            Role::TAIL,
            "por favor obrigado obrigada aqui senhor senhora novo prazer tambem",
        ),
        (
            Role::STARTER,
            "e mas que sou tenho quero queria gostaria preciso me meu minha com em para por estou um uma posso pode poderia \
             como quando onde qual aqui falando ligando moro trabalho eu voce obrigado obrigada prazer",
        ),
        (
            Role::TITLE,
            "senhor senhora sr sra dona dom doutor doutora professora seu",
        ),
        (
            Role::NEVER,
            "nao um uma o os as em com por para que como muito mais meu seu sua e eu me te se lhe nos ou mas sim ja aqui ali hoje \
             ontem amanha depois agora logo errado correto bem mal so tudo nada algo alguem ninguem este esta isto isso quem qual quando onde tambem sempre nunca \
             chamo nome tao feliz triste cansado cansada casado casada certo",
        ),
        (
            Role::RELATION,
            "esposa esposo mulher marido filho filha mae pai irmao irma amigo amiga namorado namorada primo prima tio tia chefe \
             colega avo cachorro gato",
        ),
        (
            Role::COURTESY,
            "prazer me chamo meu nome sou eu muito em conhecer voce tudo",
        ),
        (Role::NO, "nao"),
        (
            Role::CALENDAR,
            "segunda terca quarta quinta sexta segunda-feira terca-feira quarta-feira quinta-feira sexta-feira sabado janeiro fevereiro maio junho julho agosto setembro outubro novembro dezembro",
        ),
        (Role::RETRACT, "desculpe desculpa digo alias melhor verdade"),
        (Role::NAME_KIND, "primeiro completo proprio verdadeiro"),
        (
            Role::DETAIL,
            "numero conta telefone email reserva codigo data endereco",
        ),
    ],
    phrases: &[
        (
            Act::Strong,
            "me chamo
             eu me chamo
             chamo me
             chamo-me
             me chamam
             o? meu @kind? nome e
             meu @kind? nome e
             o nome e
             nome e
             pode|podem|podes me chamar|chamar-me de|por?
             pode|podem chamar-me de|por?
             chama|chame me de
             me chame|chama de
             chame-me|chama-me de?
             fala|falando com",
        ),
        (
            Act::CallMe,
            "me chame|chama de\nchame-me|chama-me de?\npode|podem me chamar de\nprefiro ser chamado|chamada de|por",
        ),
        (
            Act::Medium,
            "sou\neu sou\nsou o|a\neu sou o|a\naqui e|fala o|a?\naqui quem fala e o|a?\nquem fala e o|a?\nfala o|a",
        ),
        (Act::Asked, "este|esta e\ne o|a"),
        (Act::Asked, "e\nseria\no meu e"),
        (Act::BookingWeak, "em nome de\nda parte de"),
        (Act::Ending, "e o? meu nome\nfalando\naqui\nao telefone"),
        (
            Act::AnotherPerson,
            "sou o|a @relation dele|dela?\naqui e|fala o|a @relation dele|dela",
        ),
        (
            Act::Other,
            "sou o|a|um|uma @relation do|da|de\no? nome dele|dela e\nse chama\nmeu|minha|seu|sua @relation se? chama|e?\no nome da|do minha|meu @any e\nqual e",
        ),
        (
            Act::Reject,
            "nao sou o|a?\nnao me chamo\nmeu nome nao e\nnao e o|a?\nnao",
        ),
        (
            Act::Forget,
            "nao me chame|chama|chames de?\npare|para de me chamar de?\nesqueca|esquece|apague|apaga o? meu nome",
        ),
        (
            Act::Refuse,
            "prefiro nao\nnao quero dizer|dar|falar|informar\nnao obrigado|obrigada\npasso\npor que|para que precisa|quer|voce\nnao importa\nnao e da sua conta\nanonimo",
        ),
        (Act::Block, "sou de|do|da|um|uma\naqui em|esta|tem|nao"),
        (
            Act::Courtesy,
            "muito prazer\nprazer em conhecer voce?\nbom dia\nboa tarde|noite\ntudo bem\npor favor",
        ),
    ],
};

pub const ITALIAN: Part = Part {
    roles: &[
        (
            Role::FILLER,
            "si certo ciao salve buongiorno buonasera buon giorno pomeriggio sera bene allora va ok okay grazie prego certamente \
             ehi ah oh wow piacere scusi scusa pronto dunque beh be eccomi ecco sicuro volentieri hey",
        ),
        (
            Role::TAIL,
            "per favore grazie qui signore signora piacere anche ancora",
        ),
        (
            Role::STARTER,
            "e ed ma che sono ho voglio vorrei mi il la con in per da un una posso puo potrebbe come quando dove qual quale qui \
             vivo lavoro io tu lei piacere chiamo adoro amo sto non parlo anche grazie",
        ),
        (
            Role::TITLE,
            "signor signora signorina dottor dottore dottoressa professoressa sig avvocato",
        ),
        (
            Role::NEVER,
            "non un una il lo gli i le in con per che come molto piu mio mia tuo suo e ed io mi ti si ci vi o ma gia qui li \
             oggi ieri domani dopo adesso subito sbagliato corretto bene male solo tutto niente qualcosa qualcuno nessuno questo questa quello quella chi quale quando dove \
             anche sempre mai chiamo nome sono sto cosi felice triste stanco stanca sposato sposata sicuro sicura stato stata \
             davvero molto contento contenta contenti ancora appena da di nato nata al allo nel nella dal dalla ciao si no",
        ),
        (
            Role::RELATION,
            "moglie marito figlio figlia madre padre mamma papa fratello sorella amico amica fidanzato fidanzata cugino cugina \
             zio zia capo collega nonno nonna cane gatto",
        ),
        (
            Role::COURTESY,
            "piacere mi chiamo mio nome io sono di conoscerti conoscerla come stai va",
        ),
        (Role::NO, "no"),
        (
            Role::CALENDAR,
            "lunedi martedi mercoledi giovedi venerdi sabato gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
        ),
        (Role::RETRACT, "scusi scusa anzi volevo meglio realta cioe"),
        (Role::NAME_KIND, "primo completo proprio vero"),
        (
            Role::DETAIL,
            "numero conto telefono mail prenotazione codice data indirizzo",
        ),
    ],
    phrases: &[
        (
            Act::Strong,
            "mi chiamo
             io mi chiamo
             mi chiamano
             il? mio @kind? nome @kind? e
             mio @kind? nome e
             il nome e
             nome e
             puoi|puo|potete chiamarmi
             chiamami|chiamatemi|chiamarmi
             mi puoi|puo|potete chiamare
             mi chiami|chiama
             parla|parlando con
             a nome di?",
        ),
        (
            Act::CallMe,
            "chiamami|chiamatemi\npuoi|puo|potete chiamarmi\nmi puoi|puo chiamare\npreferisco essere chiamato|chiamata",
        ),
        (
            Act::Medium,
            "sono\nio sono\nsono il|la signor|signora|dottor|dottoressa",
        ),
        (Act::Speaking, "parla\nqui parla|e?"),
        (Act::Asked, "questo|questa e"),
        (Act::Present, "qui e"),
        (Act::Asked, "e\nsarebbe\nil mio e"),
        (Act::BookingWeak, "a nome di\nda parte di\nper conto di"),
        (
            Act::Ending,
            "e il mio nome\nal telefono\nall'apparecchio\nqui",
        ),
        (
            Act::AnotherPerson,
            "sono suo|sua|il|la @relation\nqui parla suo|sua @relation",
        ),
        (
            Act::Other,
            "sono il|la|un|una @relation di|del|della\nil? suo|tuo nome e\nsi chiama\nmio|mia|suo|sua|tuo|tua @relation si? chiama|e?\nil nome del|della @any e\ndi nome\ncome ti|si chiama|chiami",
        ),
        (
            Act::Reject,
            "non sono\nnon mi chiamo\nil? mio nome non e\nnon e\nnon\nno non",
        ),
        (
            Act::Forget,
            "non chiamarmi|chiamatemi|chiamarmi\nnon mi chiami|chiamare\nsmetti|smetta|smettila di chiamarmi\ndimentica|dimentichi|cancella|cancelli il? mio nome",
        ),
        (
            Act::Refuse,
            "preferisco|preferirei non\nnon voglio|vorrei dire|dirlo|darlo|dirglielo|dare\nno grazie\npasso\nperche|a lo|vuole|serve|vuoi|cosa le|ti? serve?\nnon importa\nnon sono affari suoi|tuoi\nanonimo",
        ),
        (
            Act::Block,
            "sono di|del|un|una|in|il|la|nel|stato|stata|io|qui|da|molto\nsono d'accordo\nqui in|c'e|non",
        ),
        (
            Act::Courtesy,
            "piacere di conoscerti|conoscerla|conoscervi\nmolto piacere\ncome stai|va|sta\nper favore",
        ),
    ],
};

pub const FRENCH: Part = Part {
    roles: &[
        (
            Role::FILLER,
            "oui ouais bien sur salut bonjour bonsoir alors ben ok okay d'accord merci volontiers certainement ah oh wow eh \
             enchante enchantee pardon desole excusez-moi allo donc voila tres hey coucou",
        ),
        (
            Role::TAIL,
            "merci ici svp plait s'il vous te aussi monsieur madame enchante enchantee appareil",
        ),
        (
            Role::STARTER,
            "et mais que qui je j'ai j'aime j'adore j'habite c'est mon ma avec en pour de un une puis peux pouvez pourriez comment quand ou quel \
             quelle ici au a l'appareil qu'est-ce d'ou d'ailleurs moi vous tu merci enchante le la les du des ravi",
        ),
        (
            Role::TITLE,
            "monsieur madame mademoiselle docteur professeur m mme mlle maitre",
        ),
        (
            Role::NEVER,
            "pas ne non un une le les en avec pour que comme tres plus mon ma mes ton son sa ses est suis je me te se il elle \
             on nous vous ils et ou mais si deja ici la hier demain maintenant tard plus bientot faux bien mal seul seule tout rien quelque personne ce cette cela ca qui \
             quoi quel quelle quand aussi toujours jamais appelle nom desole desolee content contente ravi ravie fatigue heureux \
             heureuse triste marie mariee sur sure d'accord tellement vraiment au aux du des de dans chez sous super oui merci",
        ),
        (
            Role::RELATION,
            "femme mari fils fille mere pere maman papa frere soeur ami amie copain copine cousin cousine oncle tante chef \
             collegue fiance fiancee grand-mere grand-pere chien chat",
        ),
        (
            Role::COURTESY,
            "enchante enchantee ravi ravie de vous te rencontrer je m'appelle mon nom est suis comment allez vas ca va",
        ),
        (Role::NO, "non"),
        (
            Role::CALENDAR,
            "lundi mardi mercredi jeudi vendredi samedi dimanche janvier fevrier mars avril juin juillet aout septembre octobre novembre decembre",
        ),
        (Role::RETRACT, "pardon desole plutot enfin voulais fait"),
        (Role::NAME_KIND, "pre complet vrai propre premier"),
        (
            Role::DETAIL,
            "numero compte telephone mail reservation code date adresse",
        ),
    ],
    phrases: &[
        (
            Act::Strong,
            "je m'appelle
             m'appelle
             moi je m'appelle
             je me nomme|prenomme|appelle
             on m'appelle
             mon vrai|premier? nom|prenom complet? est|c'est
             mon nom|prenom
             le nom|prenom est|c'est
             nom est
             appelez|appelle moi
             appelez-moi|appelle-moi
             vous pouvez m'appeler
             tu peux m'appeler
             pouvez|peux m'appeler
             vous parlez a|avec
             au nom de",
        ),
        (
            Act::CallMe,
            "appelez|appelle moi\nappelez-moi|appelle-moi\nvous|tu pouvez|peux m'appeler\nje prefere qu'on m'appelle",
        ),
        (
            Act::Medium,
            "je suis\nmoi c'est\nmoi je suis\nj'suis\nje suis monsieur|madame|mademoiselle\nc'est moi",
        ),
        (Act::Speaking, "ici"),
        (Act::Speaking, "ici"),
        (Act::Present, "ici c'est"),
        (Act::Asked, "c'est\nce serait\nle mien c'est"),
        (Act::BookingWeak, "de la part de\nau nom de"),
        (
            Act::Ending,
            "c'est mon nom|prenom\nest mon nom|prenom\na l'appareil\nau telephone\na l'appareil\nici",
        ),
        (
            Act::AnotherPerson,
            "je suis sa|son|la|le|l' @relation\nc'est sa|son @relation\nici sa|son @relation",
        ),
        (
            Act::Other,
            "je suis le|la|un|une @relation de|du\nson|votre|ton nom|prenom est|c'est\ns'appelle\nil|elle s'appelle\nmon|ma|son|sa|votre|ton|ta @relation s'appelle|est|c'est?\nmon|ma @any s'appelle\nle nom|prenom de @any? @any est\nc'est un|une|le|la|bon|bien|pas|tres|super|vrai|cool|genial\nce n'est\ncomment vous|t'appelez|appelles",
        ),
        (
            Act::Reject,
            "je ne suis pas\nje m'appelle pas\nje ne m'appelle pas\npas\nce n'est pas\nc'est pas",
        ),
        (
            Act::Forget,
            "ne m'appelez|m'appelle pas|plus\narretez|arrete de m'appeler\noubliez|oublie|effacez|efface|supprimez|supprime mon nom|prenom",
        ),
        (
            Act::Refuse,
            "je prefere|prefererais ne? pas\nje ne? veux|souhaite|voudrais pas\nnon merci\npasse|passons\npourquoi vous|tu|voulez|faut|est-ce\npeu importe\nca ne vous|te regarde pas\nanonyme\npas envie",
        ),
        (
            Act::Block,
            "je suis de|du|un|une|en|le|la|dans|a|au|d'accord|pas|tres|aussi\nje suis la|le pour|depuis\nici a|en|il|on|dans|et|c'est|pour",
        ),
        (
            Act::Courtesy,
            "enchante|enchantee de vous|te? rencontrer?\nravi|ravie de vous|te rencontrer\ncomment allez-vous|vas-tu|ca va\ns'il vous|te plait\nbonne journee",
        ),
    ],
};
