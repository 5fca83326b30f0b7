//! What a column can be, in the words of the manual, and which class that makes it. Does not look at
//! columns.

use crate::policy::Class;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The name of an account of a person.
    User,
    /// An e-mail address.
    Email,
    /// The number of a user.
    UserNumber,
    /// A person's own name.
    PersonName,
    /// The number of a patient, customer, employee, case.
    PersonNumber,
    /// A number that a state gives to a person.
    NationalId,
    /// A payment card.
    Card,
    /// A bank account.
    BankAccount,
    /// A phone number.
    Phone,
    /// Street, house, apartment.
    Street,
    /// A group of users.
    Group,
    /// The number of a group.
    GroupNumber,
    /// What is charged: an account or project.
    Account,
    /// One computer.
    Host,
    /// Several computers.
    HostList,
    /// An IP address.
    Address,
    /// A hardware address.
    Mac,
    /// The number of a job.
    Job,
    /// A number or name that stands for one thing.
    Number,
    /// A UUID.
    Uuid,
    /// A digest made without a key.
    Digest,
    /// A subject of a certificate, or a principal.
    Certificate,
    /// A password, token or key.
    Secret,
    /// The number of the row.
    Row,
    /// A path or file.
    Path,
    /// A command with its arguments.
    Command,
    /// Environment variables.
    Environment,
    /// A name that people make up.
    Title,
    /// Sentences.
    Prose,
    /// A web address or picture.
    Link,
    /// Structured text.
    Structured,
    /// A moment.
    Time,
    /// A day.
    Day,
    /// A day of birth.
    Birthday,
    /// A year.
    Year,
    /// An age in years.
    Age,
    /// Degrees north.
    Latitude,
    /// Degrees east.
    Longitude,
    /// A postal code.
    PostalCode,
    /// A town, quarter or region.
    Place,
    /// A country.
    Country,
    /// Sex or gender.
    Sex,
    /// Descent as others see it.
    Ethnicity,
    /// Schooling.
    Education,
    /// A trade or employer.
    Occupation,
    /// Married or not, and the household.
    Marital,
    /// A computing site.
    Site,
    /// A queue, partition or cluster.
    Queue,
    /// A collaboration or field of science.
    Experiment,
    /// What something is called out of a short list.
    Category,
    /// How it ended.
    Status,
    /// An exit code.
    ExitCode,
    /// Health, belief, conviction.
    Health,
    /// An income or price.
    Money,
    /// Memory or storage.
    Memory,
    /// A length of time.
    Duration,
    /// How many.
    Count,
    /// A share, rate or score.
    Quantity,
    /// `cpu=12,mem=48000M`.
    Resources,
    /// Yes or no.
    Flag,
    /// Nothing that is known.
    Unknown,
}

impl Kind {
    /// The class in a policy.
    pub const fn class(self) -> Option<Class> {
        Some(match self {
            Self::User
            | Self::Email
            | Self::UserNumber
            | Self::PersonName
            | Self::PersonNumber
            | Self::NationalId
            | Self::Card
            | Self::BankAccount
            | Self::Phone
            | Self::Street
            | Self::Address
            | Self::Mac
            | Self::Job
            | Self::Number
            | Self::Uuid
            | Self::Digest
            | Self::Certificate
            | Self::Secret
            | Self::Row => Class::Identifier,
            Self::Path
            | Self::Command
            | Self::Environment
            | Self::Title
            | Self::Prose
            | Self::Link
            | Self::Structured => Class::Text,
            Self::Group
            | Self::GroupNumber
            | Self::Account
            | Self::Host
            | Self::HostList
            | Self::Time
            | Self::Day
            | Self::Birthday
            | Self::Year
            | Self::Age
            | Self::Latitude
            | Self::Longitude
            | Self::PostalCode
            | Self::Place
            | Self::Country
            | Self::Sex
            | Self::Ethnicity
            | Self::Education
            | Self::Occupation
            | Self::Marital
            | Self::Site
            | Self::Queue
            | Self::Experiment
            | Self::Category => Class::Quasi,
            Self::Status | Self::ExitCode | Self::Health | Self::Money => Class::Sensitive,
            Self::Memory
            | Self::Duration
            | Self::Count
            | Self::Quantity
            | Self::Resources
            | Self::Flag => Class::Measure,
            Self::Unknown => return None,
        })
    }

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Email => "e-mail address",
            Self::UserNumber => "number of a user",
            Self::PersonName => "name of a person",
            Self::PersonNumber => "number of a person",
            Self::NationalId => "national number of a person",
            Self::Card => "payment card",
            Self::BankAccount => "bank account",
            Self::Phone => "phone number",
            Self::Street => "postal address",
            Self::Group => "group",
            Self::GroupNumber => "number of a group",
            Self::Account => "account",
            Self::Host => "host",
            Self::HostList => "list of hosts",
            Self::Address => "IP address",
            Self::Mac => "hardware address",
            Self::Job => "job id",
            Self::Number => "id",
            Self::Uuid => "UUID",
            Self::Digest => "digest",
            Self::Certificate => "certificate or principal",
            Self::Secret => "secret",
            Self::Row => "number of the row",
            Self::Path => "path",
            Self::Command => "command line",
            Self::Environment => "environment",
            Self::Title => "title",
            Self::Prose => "free text",
            Self::Link => "web address",
            Self::Structured => "structured text",
            Self::Time => "time",
            Self::Day => "day",
            Self::Birthday => "birthday",
            Self::Year => "year",
            Self::Age => "age",
            Self::Latitude => "latitude",
            Self::Longitude => "longitude",
            Self::PostalCode => "postal code",
            Self::Place => "place",
            Self::Country => "country",
            Self::Sex => "sex",
            Self::Ethnicity => "ethnicity",
            Self::Education => "education",
            Self::Occupation => "occupation",
            Self::Marital => "marital status",
            Self::Site => "site",
            Self::Queue => "queue or cluster",
            Self::Experiment => "experiment",
            Self::Category => "category",
            Self::Status => "status",
            Self::ExitCode => "exit code",
            Self::Health => "health or belief",
            Self::Money => "money",
            Self::Memory => "memory or storage",
            Self::Duration => "duration",
            Self::Count => "count",
            Self::Quantity => "quantity",
            Self::Resources => "list of resources",
            Self::Flag => "flag",
            Self::Unknown => "unknown",
        }
    }

    /// Whether values of it name or lead to a person or machine, so that they are looked for in other
    /// columns.
    pub const fn is_sought(self) -> bool {
        matches!(
            self,
            Self::User
                | Self::Email
                | Self::UserNumber
                | Self::PersonName
                | Self::PersonNumber
                | Self::NationalId
                | Self::Phone
                | Self::Group
                | Self::GroupNumber
                | Self::Account
                | Self::Host
                | Self::HostList
                | Self::Address
                | Self::Certificate
                | Self::Secret
        )
    }

    /// Whether a person is meant, and no group or machine.
    pub const fn is_personal(self) -> bool {
        matches!(
            self,
            Self::User
                | Self::Email
                | Self::UserNumber
                | Self::PersonName
                | Self::PersonNumber
                | Self::NationalId
                | Self::Phone
                | Self::Certificate
                | Self::Secret
        )
    }
}

/// The word of a class.
pub(super) const fn word(class: Class) -> &'static str {
    match class {
        Class::Identifier => "identifier",
        Class::Quasi => "quasi",
        Class::Sensitive => "sensitive",
        Class::Measure => "measure",
        Class::Text => "text",
    }
}
