//! Names of columns that are known whole: what schedulers, censuses and clinics call things. Letters
//! and digits count, in lower case; `JobID`, `job_id` and `job-id` are one name.

use super::kind::Kind;

/// Names by what they mean. The first that has a name counts.
pub(super) const WHOLE: &[(Kind, &str)] = &[
    // Slurm: `sacct`.
    (
        Kind::Job,
        "jobid jobidraw stepid arrayjobid arraytaskid hetjobid sluid jobnumber taskid dbindex",
    ),
    (Kind::User, "user username owner uname login submitter acctuser associd"),
    (Kind::UserNumber, "uid userid uidnumber cancelledby"),
    (Kind::Group, "group groupname acctgroup unixgroup"),
    (Kind::GroupNumber, "gid groupid gidnumber"),
    (
        Kind::Account,
        "account accountname project projectname wckey wckeyid chargeaccount accountstring budget department",
    ),
    (
        Kind::HostList,
        "nodelist nodes hosts exechosts exechost exechostlist execvnode reqnodelist allocnodelist failednode maxrssnode maxvmsizenode maxpagesnode maxdiskreadnode maxdiskwritenode mincpunode remotehosts allremotehosts hostlist",
    ),
    (
        Kind::Time,
        "submit eligible start end submittime starttime endtime eligibletime time date datetime timestamp ts when ctime qtime etime mtime queuetime",
    ),
    (
        Kind::Duration,
        "elapsed elapsedraw timelimit timelimitraw cputime cputimeraw totalcpu usercpu systemcpu avecpu mincpu planned plannedcpu plannedcpuraw suspended reserved walltime runtime waittime",
    ),
    (
        Kind::Memory,
        "reqmem maxrss averss maxvmsize avevmsize maxpages avepages maxdiskread maxdiskwrite avediskread avediskwrite",
    ),
    (
        Kind::Count,
        "nnodes ncpus ntasks reqcpus reqnodes alloccpus allocnodes restarts maxrsstask maxvmsizetask maxpagestask maxdiskreadtask maxdiskwritetask mincputask",
    ),
    (
        Kind::Resources,
        "reqtres alloctres tresusageinave tresusageinmax tresusageinmin tresusageintot tresusageoutave tresusageoutmax tresusageoutmin tresusageouttot tresreq tresalloc",
    ),
    (Kind::ExitCode, "exitcode derivedexitcode exitstatus returncode exitsignal jobexitstatus"),
    (Kind::Status, "state jobstate status jobstatus result outcome failed"),
    (
        Kind::Queue,
        "cluster clustername partition partitionname qos qosreq queue queuename qname grantedpe layout",
    ),
    (
        Kind::Quantity,
        "priority consumedenergy consumedenergyraw avecpufreq reqcpufreq reqcpufreqmin reqcpufreqmax",
    ),
    (
        Kind::Title,
        "jobname name title reservation reservationid blockid constraints container mcslabel licenses label",
    ),
    (
        Kind::Prose,
        "comment admincomment systemcomment reason extra notes note description remark message",
    ),
    (Kind::Command, "submitline cmd command args arguments argv cmdline commandline script"),
    (Kind::Path, "workdir cwd stdin stdout stderr home homedir iwd"),
    (Kind::Environment, "env environment environ variablelist"),
    // HTCondor job ads.
    (
        Kind::Certificate,
        "x509userproxysubject x509userproxyfqan x509userproxyfirstfqan x509userproxyemail x509userproxyvoname jobsubclientdn authtokensubject authtokenissuer authtokenid startdprincipal scheddprincipal",
    ),
    (
        Kind::Secret,
        "lastpublicclaimid lastpublicclaimids claimid publicclaimid publicclaimids pubclaimid capability globusresubmit oauthservicesneeded",
    ),
    (
        Kind::Path,
        "x509userproxy submitiwd submituserlog submitx509userproxy submitcmd submittransferinput submittransferoutputremaps out err in userlog transferinput transferoutput transferoutputremaps spooledoutputfiles spool transferexecutable outputdestination dagmanworkflowlog usernotificationlog pomslauncher rootdir core",
    ),
    (
        Kind::Job,
        "clusterid globaljobid dagmanjobid dagnodename dagparentnodenames jobsubjobid pomstaskid pomscampaignid originalclusterid originalprocid autoclusterid routedfromjobid routedtojobid stagedjobid workflowid gridjobid",
    ),
    (
        Kind::Count,
        "procid numjobstarts numjobcompletions numjobmatches numjobreconnects numrestarts numshadowstarts numshadowexceptions numsystemholds numckpts requestcpus requestgpus cpusprovisioned gpusprovisioned cpususage minhosts maxhosts currenthosts totalsuspensions jobruncount jobmaxvacatetime niceuser dagnodesdone dagnodesfailed dagnodesprerun dagnodesqueued dagnodesready dagnodestotal dagnodesunready",
    ),
    (
        Kind::Memory,
        "requestmemory requestdisk memoryusage diskusage imagesize residentsetsize proportionalsetsizekb memoryprovisioned diskprovisioned executablesize bytessent bytesrecvd blockreads blockwrites blockreadkbytes blockwritekbytes transferinputsizemb scratchdirfilecount spoolsize diskusageraw imagesizeraw residentsetsizeraw",
    ),
    (
        Kind::Duration,
        "cumulativeslottime cumulativesuspensiontime cumulativeremotesyscpu cumulativeremoteusercpu cumulativetransfertime remotewallclocktime remoteusercpu remotesyscpu committedtime committedslottime committedsuspensiontime jobduration activationduration activationexecutionduration activationsetupduration activationteardownduration localsyscpu localusercpu jobleaseduration maxwalltimemins wallclocktime walltimemins lastremotewallclocktime expectedruntime",
    ),
    (
        Kind::Time,
        "qdate jobstartdate jobcurrentstartdate jobcurrentstartexecutingdate jobcurrentstarttransferinputdate jobcurrentfinishtransferinputdate jobcurrentstarttransferoutputdate jobcurrentfinishtransferoutputdate jobfinishedhookdone jobfirststartdate joblaststartdate completiondate enteredcurrentstatus lastmatchtime lastrejmatchtime lastsuspensiontime lastvacatetime lastremotestatusupdate lastjobleaserenewal shadowbday statuslastupdated transferinfinished transferinstarted transferoutfinished transferoutstarted transferinqueued transferoutqueued stageinstart stageinfinish stageoutstart stageoutfinish x509userproxyexpiration delegatedproxyexpiration servertime",
    ),
    (
        Kind::Host,
        "lastremotehost remotehost remotepool lastremotepool scheddhost submithost startdname machine machineattrmachine0 machineattrname0 matchmachine glideinschedd glideinfactory glideinclustername jobsubserver jobsubclienthost remoteslotid workernode",
    ),
    (
        Kind::Address,
        "jobsubclientipaddress clientip clientipaddress startdipaddr remotestartdipaddr scheddipaddr lastremotestartdipaddr ip ipaddress ipaddr srcip dstip sourceip remoteip remoteaddr xforwardedfor hostip",
    ),
    (Kind::Email, "email emailaddress mail notifyuser mailto mailuser"),
    (Kind::Account, "accountinggroup acctgroupuser accountinggroupstring grouphandle"),
    (
        Kind::Site,
        "site sitename matchexpjobsite matchexpjobglideinsite matchglideinsite glideinsite jobsite computingsite resource resourcename matchexpjobglideinresourcename",
    ),
    (
        Kind::Experiment,
        "experiment vo voname virtualorganization collaboration jobsubgroup fieldofscience",
    ),
    (Kind::ExitCode, "exitbysignal jobcorexitcode"),
    (
        Kind::Status,
        "holdreasoncode holdreasonsubcode lastjobstatus jobuniverse terminationpending vacatereasoncode",
    ),
    (
        Kind::Prose,
        "holdreason lastholdreason releasereason removereason lastrejmatchreason vacatereason jobdescription jobbatchname requirements rank",
    ),
    // PBS, LSF, UGE.
    (Kind::Job, "jobindex arrayindex jobarrayid session sessionid"),
    (
        Kind::Duration,
        "resourcesusedwalltime resourcesusedcput resourcelistwalltime resourcelistcput ruwallclock ruutime rustime cpu ru utime stime wallclock cput cputimeused runlimit",
    ),
    (
        Kind::Memory,
        "resourcesusedmem resourcesusedvmem resourcelistmem resourcelistpmem resourcelistvmem maxvmem maxmem maxswap rumaxrss mem vmem io",
    ),
    (
        Kind::Count,
        "resourcesusedncpus resourcelistncpus resourcelistnodect resourcelistngpus slots numprocessors numexecprocs numcpus ngpus ruminflt rumajflt runvcsw runivcsw rsignals",
    ),
    (Kind::HostList, "resourcelistnodes resourcelistneednodes exechostname"),
    (Kind::Host, "hostname host fromhost nodename node"),
    (Kind::User, "jobowner submituser requestor"),
    // The Standard Workload Format.
    (Kind::Job, "jobnumber precedingjob precedingjobnumber"),
    (
        Kind::Duration,
        "averagecputime averagecputimeused requestedtime thinktime thinktimefromprecedingjob usedcputime",
    ),
    (Kind::Memory, "usedmemory requestedmemory"),
    (
        Kind::Count,
        "allocatedprocessors numberofallocatedprocessors requestedprocessors requestednumberofprocessors",
    ),
    (Kind::Number, "executable executablenumber application applicationnumber app appid"),
    (Kind::Queue, "queuenumber partitionnumber"),
    // Persons.
    (
        Kind::PersonName,
        "firstname lastname givenname surname familyname middlename maidenname fullname fname lname forename patronymic officialfull nickname",
    ),
    (
        Kind::NationalId,
        "ssn socsecid socialsecuritynumber nationalid passport passportnumber taxid driverslicense drivinglicence nhsnumber personnummer nino",
    ),
    (Kind::Card, "cardnumber creditcard creditcardnumber ccnumber pan"),
    (Kind::BankAccount, "iban bic bankaccount accountnumber sortcode routingnumber"),
    (Kind::Birthday, "dob birthday birthdate dateofbirth birth born birthdt"),
    (Kind::Age, "age agegroup ageyears ageatdiagnosis ageatonset"),
    (Kind::Year, "year birthyear yob yearofbirth"),
    (Kind::Phone, "phone phonenumber mobile mobilenumber telephone tel fax cellphone msisdn"),
    (
        Kind::Street,
        "street streetname streetaddress streetnumber address address1 address2 addressline1 addressline2 housenumber buildingnumber apartment suite pobox building",
    ),
    (Kind::PostalCode, "zip zipcode postcode postalcode plz zip5"),
    (
        Kind::Place,
        "city town suburb county region province district neighborhood neighbourhood municipality village precinct policeprecinct borough parish area addressstate usstate",
    ),
    (Kind::Country, "country countrycode nativecountry nationality citizenship countryofbirth"),
    (Kind::Sex, "sex gender male female"),
    (Kind::Ethnicity, "race prerace ethnicity ethnic hispanic"),
    (Kind::Education, "education educ educationnum degree schooling"),
    (
        Kind::Occupation,
        "occupation workclass employer profession job jobtitle industry jobcategory",
    ),
    (Kind::Marital, "maritalstatus married relationship civilstatus maritalstate"),
    (
        Kind::Money,
        "income salary salaryclass wage price cost amount balance capitalgain capitalloss revenue",
    ),
    (Kind::Latitude, "lat latitude"),
    (Kind::Longitude, "long lon lng longitude"),
    (Kind::Link, "url website image photo picture avatar homepage link webpage"),
    (
        Kind::PersonNumber,
        "id patientid subjectid personid pid mrn customerid employeeid memberid studentid participantid caseid recid recordid idnum idnumber respondentid enrolleeid beneid",
    ),
    (Kind::Row, "rownames rownumber rownum index unnamed0 rowid row"),
    // Health and justice.
    (
        Kind::Health,
        "diagnosis icd icd9 icd10 disease condition medication drug treatment allergy procedure religion smoker stroke hypertension heartdisease hiv disability pregnancy bloodtype causeofdeath citationissued personsearch vehiclesearch conviction offense charge arrest",
    ),
    (Kind::Category, "test testname labtest assay unit units problem mdc reqmemper"),
    (
        Kind::Quantity,
        "value bmi weight height glucose avgglucoselevel ecg hr heartrate temperature pressure systolic diastolic hdl chol score dose",
    ),
    (Kind::Duration, "days futime followup hoursperweek"),
];
